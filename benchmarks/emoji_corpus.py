"""Makes a corpus of some 5,700 emoji with 26 labels from public npm packages, split by who drew them.

Two vendors are learnt from (Google, Twitter), a third one is judged by (Apple). Labels are the commonest keywords of
emojilib. Needs `npm`.

    python benchmarks/emoji_corpus.py my/emoji
"""

import io
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

PACKAGES = {
    "google": "emoji-datasource-google@16.0.0",
    "twitter": "emoji-datasource-twitter@16.0.0",
    "apple": "emoji-datasource-apple@16.0.0",
    "keywords": "emojilib@4.0.3",
}
LEARNT, JUDGED = ("google", "twitter"), "apple"
LABELS = 26
ALIKE = 0.8
"""Keywords whose emoji overlap with those of a commoner one by this much (Jaccard) say the same."""

SIDE = 64
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "image": pa.binary(),
        "labels": pa.list_(pa.string()),
        "emoji": pa.string(),
        "vendor": pa.string(),
    }
)


def files_of(folder: Path, package: str, wanted: str) -> dict[str, bytes]:
    """The files of a package whose path fits a pattern, by what its group matched; packages are fetched once."""
    name, _, release = package.partition("@")
    path = folder / f"{name}-{release}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S607
    with tarfile.open(path) as archive:
        members = [(re.fullmatch(wanted, member.name), member) for member in archive]
        return {match.group(1): archive.extractfile(member).read() for match, member in members if match}  # type: ignore[union-attr]


def keywords_of(folder: Path) -> dict[str, set[str]]:
    """The labels of each emoji, by its code points without variation selectors."""
    (text,) = files_of(folder, PACKAGES["keywords"], r"package/dist/(emoji-en-US)\.json").values()
    words = {
        code_of("-".join(f"{ord(sign):x}" for sign in emoji)): set(words) for emoji, words in json.loads(text).items()
    }
    emoji_of = {word: {code for code in words if word in words[code]} for each in words.values() for word in each}
    labels: list[str] = []
    for word, _ in Counter({word: len(codes) for word, codes in sorted(emoji_of.items())}).most_common():
        codes = emoji_of[word]
        if all(len(codes & emoji_of[other]) < ALIKE * len(codes | emoji_of[other]) for other in labels):
            labels.append(word)
        if len(labels) == LABELS:
            break
    return {code: words[code] & set(labels) for code in words}


def code_of(name: str) -> str:
    """The code points in a file's name, written as all vendors' are compared."""
    return "-".join(part.lstrip("0") for part in name.lower().split("-") if part != "fe0f")


def drawings_of(folder: Path, vendor: str) -> dict[str, bytes]:
    """The vendor's images as PNG on white, by code points."""
    drawn = files_of(folder, PACKAGES[vendor], rf"package/img/{vendor}/{SIDE}/([0-9a-f-]+)\.png")
    return {code_of(name): on_white(image) for name, image in drawn.items()}


def on_white(image: bytes) -> bytes:
    """The image without transparency, which vendors use differently."""
    drawing = Image.open(io.BytesIO(image)).convert("RGBA")
    paper = Image.new("RGBA", drawing.size, "white")
    buffer = io.BytesIO()
    Image.alpha_composite(paper, drawing).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def main(folder: Path) -> None:
    """Writes `learnt.parquet`, `judged.parquet` and `labels.txt` into a folder."""
    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    words = keywords_of(packages)
    counts = Counter(label for labels in words.values() for label in labels)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in sorted(counts)))
    for name, vendors in {"learnt": LEARNT, "judged": (JUDGED,)}.items():
        rows = [
            {"id": f"{vendor}/{code}", "image": image, "labels": sorted(words[code]), "emoji": code, "vendor": vendor}
            for vendor in vendors
            for code, image in sorted(drawings_of(packages, vendor).items())
            if code in words
        ]
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / f"{name}.parquet")
        print(f"{name}: {len(rows):,} images of {', '.join(vendors)}")
    print(f"{len(counts)} labels: {', '.join(f'{label} {count}' for label, count in counts.most_common())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
