/* Undoes the filters of PNG (https://www.w3.org/TR/png-3/#9Filters), after which packed rows are pixels.

A row begins with the number of its filter, by which each byte was replaced by its difference from what the neighbours
predict: the same sample of the pixel to the left, of the one above, or of both and the one between them. A pixel depends
on the one before it, so only its samples can be reckoned at once: they lie in the lanes of one vector.
*/

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Two versions of a function, of which the C library chooses one by the processor. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define FAST __attribute__((target_clones("avx2", "default")))
#else
#define FAST
#endif

#define INLINE static inline __attribute__((always_inline))

#define MOST 8 /* bytes that a pixel may have */

typedef uint8_t Bytes __attribute__((vector_size(MOST)));
typedef int16_t Samples __attribute__((vector_size(2 * MOST)));

enum { NONE, SUB, UP, AVERAGE, PAETH };

INLINE Samples load(const uint8_t *pixel, int bytes) {
    Bytes loaded = {0};
    memcpy(&loaded, pixel, bytes);
    return __builtin_convertvector(loaded, Samples);
}

INLINE void store(uint8_t *pixel, Samples samples, int bytes) {
    Bytes stored = __builtin_convertvector(samples, Bytes);
    memcpy(pixel, &stored, bytes);
}

INLINE Samples chosen(Samples mask, Samples yes, Samples no) { return (mask & yes) | (~mask & no); }

/* Returns the neighbour that is nearest to left + above - corner; of equally near ones the first, in this order. It is
the corner if that lies between the others by more than a third of their distance. */
INLINE Samples nearest(Samples left, Samples above, Samples corner) {
    Samples less = left < above, low = chosen(less, left, above), high = chosen(less, above, left);
    Samples third = 3 * corner - left - above;
    return chosen(third <= low, high, chosen(high <= third, low, corner));
}

INLINE Samples predicted(int filter, Samples left, Samples above, Samples corner) {
    if (filter == SUB) return left;
    if (filter == AVERAGE) return (left + above) >> 1;
    return nearest(left, above, corner);
}

/* `filter` and `bytes`, those of a pixel, are known when this is compiled into `unfilter_row`. All pixels but the last are
copied as 4 or 8 bytes, the most of which are a pixel's; what is stored too much is overwritten by the next. */
INLINE void undo(int filter, const uint8_t *row, const uint8_t *above, uint8_t *target, size_t length, const int bytes) {
    const int copied = bytes <= 2 ? bytes : bytes <= 4 ? 4 : 8;
    const Samples byte = {255, 255, 255, 255, 255, 255, 255, 255};
    Samples left = {0}, corner = {0}, up;
    size_t last = length - bytes;
    for (size_t i = 0; i < last; i += bytes) {
        up = load(above + i, copied);
        left = (load(row + i, copied) + predicted(filter, left, up, corner)) & byte;
        corner = up;
        store(target + i, left, copied);
    }
    up = load(above + last, bytes);
    store(target + last, (load(row + last, bytes) + predicted(filter, left, up, corner)) & byte, bytes);
}

INLINE void undo_any(int filter, const uint8_t *row, const uint8_t *above, uint8_t *target, size_t length, int bytes) {
    switch (bytes) {
        case 1: undo(filter, row, above, target, length, 1); break;
        case 2: undo(filter, row, above, target, length, 2); break;
        case 3: undo(filter, row, above, target, length, 3); break;
        case 4: undo(filter, row, above, target, length, 4); break;
        case 6: undo(filter, row, above, target, length, 6); break;
        default: undo(filter, row, above, target, length, 8);
    }
}

FAST static void undo_sub(const uint8_t *row, const uint8_t *above, uint8_t *target, size_t length, int bytes) {
    undo_any(SUB, row, above, target, length, bytes);
}

FAST static void undo_up(const uint8_t *restrict row, const uint8_t *restrict above, uint8_t *restrict target, size_t length) {
    for (size_t i = 0; i < length; i++) target[i] = row[i] + above[i];
}

FAST static void undo_average(const uint8_t *row, const uint8_t *above, uint8_t *target, size_t length, int bytes) {
    undo_any(AVERAGE, row, above, target, length, bytes);
}

FAST static void undo_paeth(const uint8_t *row, const uint8_t *above, uint8_t *target, size_t length, int bytes) {
    undo_any(PAETH, row, above, target, length, bytes);
}

/* Returns 0 if a row has a filter that does not exist. */
static int undo_rows(const uint8_t *filtered, const uint8_t *above, uint8_t *target, size_t length, size_t rows, int bytes) {
    for (; rows; rows--, filtered += 1 + length, above = target, target += length) {
        const uint8_t *row = filtered + 1;
        switch (*filtered) {
            case NONE: memcpy(target, row, length); break;
            case SUB: undo_sub(row, above, target, length, bytes); break;
            case UP: undo_up(row, above, target, length); break;
            case AVERAGE: undo_average(row, above, target, length, bytes); break;
            case PAETH: undo_paeth(row, above, target, length, bytes); break;
            default: return 0;
        }
    }
    return 1;
}

static PyObject *unfilter(PyObject *module, PyObject *arguments) {
    Py_buffer filtered, above, target;
    int bytes, done = 0;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*y*w*i", &filtered, &above, &target, &bytes)) return NULL;
    Py_ssize_t length = above.len, rows = length ? target.len / length : 0;
    if (bytes < 1 || bytes > MOST || bytes == 5 || bytes == 7 || length < 1 || length % bytes || target.len != rows * length ||
        filtered.len != rows + target.len) {
        PyErr_SetString(PyExc_ValueError, "no rows of this length, or no pixels of so many bytes");
    } else {
        Py_BEGIN_ALLOW_THREADS
        done = undo_rows(filtered.buf, above.buf, target.buf, length, rows, bytes);
        Py_END_ALLOW_THREADS
        if (!done) PyErr_SetString(PyExc_ValueError, "a row has a filter that PNG does not know");
    }
    PyBuffer_Release(&filtered);
    PyBuffer_Release(&above);
    PyBuffer_Release(&target);
    if (!done) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef FUNCTIONS[] = {{"unfilter", unfilter, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "unfilter", NULL, 0, FUNCTIONS, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_unfilter(void) { return PyModuleDef_Init(&MODULE); }
