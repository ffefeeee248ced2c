//! Pointers that Git LFS leaves in place of files that were not downloaded.

/// The rest of the error about such a file, after its name.
pub(crate) const LFS_POINTER: &str = "is a pointer of Git LFS, not the file that it stands for: run `git lfs pull` in its folder, or download the file itself";

/// Bytes that tell a pointer from a file.
pub(crate) const LFS_PREFIX: &[u8] = b"version https://git-lfs.github.com/spec/";
