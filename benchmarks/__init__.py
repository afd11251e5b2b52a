"""Quality and speed, one command each."""

import index  # noqa: F401  first, for it sets how many threads numpy takes before anything loads numpy
