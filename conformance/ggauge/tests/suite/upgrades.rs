//! Records against Records, and releases against releases.
