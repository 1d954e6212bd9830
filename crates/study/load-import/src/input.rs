//! A file as it was opened.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use input_file::{CodePage, CodePageName, TextLines};

use crate::error::ImportError;

/// Bytes that are read of a file: a year of a thousand VMs every five minutes has half of it. Invented.
const MOST_BYTES: u64 = 1 << 34;

/// What is said of a file that is no Unicode, and of which nobody has named the code page.
pub(crate) fn code_page(page: &CodePage) -> String {
    format!("{page}, or name it: --code-page 932, or the like")
}

/// A file, or a folder of trace files.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in messages.
    pub(crate) name: String,
    /// Where it is; `None` for text that is no file.
    pub(crate) path: Option<PathBuf>,
    /// What is in it; nothing of a folder.
    pub(crate) bytes: Vec<u8>,
    /// Whether it is a folder.
    pub(crate) folder: bool,
}

impl Input {
    /// Opens and reads a file. A folder is remembered: it may hold the files of a trace.
    ///
    /// # Errors
    /// What cannot be opened or read, or is larger than 16 GB.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        if path.is_dir() {
            return Ok(Self { name, path: Some(path.to_owned()), bytes: Vec::new(), folder: true });
        }
        let mut bytes = Vec::new();
        let read = input_file::open(path, MOST_BYTES).and_then(|mut file| file.read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Self { name, path: Some(path.to_owned()), bytes, folder: false }),
            Err(cause) => Err(ImportError::Unreadable { file: name, cause }),
        }
    }

    /// Text that is in memory.
    #[must_use]
    pub fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), path: None, bytes: text.as_bytes().to_vec(), folder: false }
    }

    /// Bytes that are in memory.
    #[must_use]
    pub fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), path: None, bytes, folder: false }
    }

    /// Its lines.
    pub(crate) fn lines(&self, code_page: Option<CodePageName>) -> TextLines<&[u8]> {
        let lines = TextLines::new(&self.bytes[..]);
        match code_page {
            Some(named) => lines.in_code_page(named),
            None => lines,
        }
    }

    /// The file's name without folder and ending.
    pub(crate) fn stem(&self) -> String {
        let path = Path::new(&self.name);
        path.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned())
    }
}
