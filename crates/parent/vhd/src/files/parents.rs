//! Which file is a disk's parent.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::{Opening, modified, open_image};
use crate::format::{Locator, LocatorKind};
use crate::limits::MAX_CHAIN;
use crate::{DiskType, Identity, Image, ParentLink, TableAccess, VhdError};

/// Bytes of the longest path that is read (documented: Windows' paths have at most 32767 characters).
const LONGEST_PATH: u32 = 65534;

/// All parents of an open file, nearest first.
pub(super) fn open_all(
    path: &Path,
    image: &Image<File>,
    table: TableAccess,
) -> Result<Vec<Image<File>>, VhdError> {
    let mut parents: Vec<Image<File>> = Vec::new();
    let mut seen = BTreeSet::from([file_id(image)?]);
    let (mut child_path, mut chain) = (path.to_owned(), vec![image.name().to_owned()]);
    loop {
        let child = parents.last().unwrap_or(image);
        if child.disk_type() != DiskType::Differencing {
            return Ok(parents);
        }
        if parents.len() == MAX_CHAIN {
            return Err(VhdError::ChainTooLong { name: image.name().to_owned() });
        }
        let parent_path = find(&child_path, child)?;
        chain.push(parent_path.display().to_string());
        // Before opening: a file that is open for writing here could not be locked, and that would not be why.
        if fs::metadata(&parent_path).is_ok_and(|found| seen.contains(&(found.dev(), found.ino()))) {
            return Err(VhdError::ParentLoop { name: parent_path.display().to_string(), chain });
        }
        let (parent, _) = open_image(&parent_path, Opening { table, ..Opening::read() })?;
        check_unchanged(child, &parent, &parent_path)?;
        seen.insert(file_id(&parent)?);
        parents.push(parent);
        child_path = parent_path;
    }
}

fn file_id(image: &Image<File>) -> Result<(u64, u64), VhdError> {
    let found = image.storage().metadata();
    let found = found.map_err(|error| VhdError::io(image.name(), "read the identity", 0, error))?;
    Ok((found.dev(), found.ino()))
}

/// Refuses a file that is another disk than the child names, or that was written since.
fn check_unchanged(child: &Image<File>, parent: &Image<File>, path: &Path) -> Result<(), VhdError> {
    let Some(named) = child.header().map(|header| header.parent) else { return Ok(()) };
    let (expected, found) = (named.uuid, parent.footer().identity.uuid);
    let (child, parent_name) = (child.name().to_owned(), parent.name().to_owned());
    if expected != found {
        return Err(VhdError::ParentIsAnother { child, parent: parent_name, expected, found });
    }
    let written = modified(parent, path)?;
    if written != named.time {
        let (expected, found) = (named.time.unix_seconds(), written.unix_seconds());
        return Err(VhdError::ParentChanged { child, parent: parent_name, expected, found });
    }
    Ok(())
}

/// Where the parent is: by the path from the child's folder, the whole path, then the name in the child's folder.
fn find(child_path: &Path, child: &Image<File>) -> Result<PathBuf, VhdError> {
    let folder = child_path.parent().unwrap_or(Path::new("")).to_owned();
    let Some(header) = child.header() else { return Ok(folder) };
    let of_kind = |kind| header.locators.iter().filter(move |locator| locator.kind == kind);
    let mut tried = Vec::new();
    let order = of_kind(LocatorKind::WindowsRelative).chain(of_kind(LocatorKind::WindowsAbsolute));
    for locator in order {
        let text = read_path(child, locator)?;
        // A path from a Windows host stays what it is, and is not found here.
        tried.push(folder.join(text.replace('\\', "/")));
    }
    if let Some(name) = header.parent_name.rsplit(['\\', '/']).next().filter(|name| !name.is_empty()) {
        tried.push(folder.join(name));
    }
    match tried.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => {
            let (child, parent_name) = (child.name().to_owned(), header.parent_name.clone());
            tried.dedup();
            Err(VhdError::ParentMissing { child, parent_name, tried })
        }
    }
}

fn read_path(child: &Image<File>, locator: &Locator) -> Result<String, VhdError> {
    let &Locator { length, offset, .. } = locator;
    if length > LONGEST_PATH {
        let error = crate::FormatError::LocatorPlace { offset, length };
        return Err(VhdError::Format { name: child.name().to_owned(), error });
    }
    let mut bytes = vec![0; length as usize];
    child.read_file(offset, &mut bytes)?;
    let (units, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> =
        units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|&unit| unit != 0).collect();
    Ok(String::from_utf16_lossy(&units))
}

/// How `child` is to name its parent.
pub(super) fn link(child: &Path, parent: &Path, image: &Image<File>) -> Result<ParentLink, VhdError> {
    let failed = |source| VhdError::Open { path: parent.to_owned(), doing: "find the whole path of", source };
    let absolute = parent.canonicalize().map_err(failed)?;
    let folder = child.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let relative = folder.canonicalize().ok().map(|folder| relative_path(&folder, &absolute));
    let windows = |path: &Path| path.to_str().map(|text| text.replace('/', "\\"));
    Ok(ParentLink {
        identity: Identity { uuid: image.footer().identity.uuid, time: modified(image, parent)? },
        name: absolute.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        relative: relative.as_deref().and_then(windows),
        absolute: windows(&absolute),
    })
}

/// The way from a folder to a file; both whole paths.
fn relative_path(folder: &Path, file: &Path) -> PathBuf {
    let (folder, file): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let common = folder.iter().zip(&file).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n(Component::ParentDir, folder.len() - common);
    let begin = (folder.len() == common).then_some(Component::CurDir);
    begin.into_iter().chain(up).chain(file[common..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        let way = |folder: &str, file: &str| relative_path(Path::new(folder), Path::new(file));
        assert_eq!(way("/a/b", "/a/b/c.vhd"), Path::new("./c.vhd"));
        assert_eq!(way("/a/b", "/a/c/d.vhd"), Path::new("../c/d.vhd"));
        assert_eq!(way("/a/b", "/x.vhd"), Path::new("../../x.vhd"));
    }
}
