"""What the launcher of the Flex Template starts, with the parameters as `--name=value`."""

import sys

from bulklabel.pipelines.flex_template import main

if __name__ == "__main__":
    sys.exit(main())
