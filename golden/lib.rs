//! Where the goldens are. This is a package because `cargo insta review` looks for snapshots in the workspace's packages and nowhere else.

/// The folder with all goldens.
pub const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
