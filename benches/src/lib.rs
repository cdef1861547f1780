//! Side-by-side measurements; each binary prints ratios taken in one run.
