//! Why a run cannot be exported.

use std::io;
use std::path::PathBuf;

/// Why a run cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There is no such folder.
    #[error("there is no folder {}; runs are left in runs/, or where --out said", .0.display())]
    NoFolder(PathBuf),
    /// The folder has no such file.
    #[error("there is no {}: {why}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the file would be, and how a run comes to have it.
        why: &'static str,
    },
    /// A file cannot be used.
    #[error("{}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing was recorded of what the format shows.
    #[error("{}: {why}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What is not there.
        why: &'static str,
    },
    /// The output.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}
