//! Names that have lost letters: Export-Csv of Windows PowerShell 5 writes ASCII unless told otherwise, and a question mark for
//! every other letter (documented: about_Character_Encoding).

use crate::error::ImportError;
use crate::groups::Groups;
use crate::names;

/// What stands for a letter that was lost.
const LOST: char = '?';
/// How letters are kept.
const MEND: &str = "export the list again with -Encoding UTF8";

/// Gives what a list says of a name with lost letters to the VM of another file that it must be.
pub(crate) fn restore(groups: &mut Groups, remarks: &mut Vec<String>) -> Result<(), ImportError> {
    let lost: Vec<String> = groups.keys().filter(|key| key.contains(LOST)).cloned().collect();
    let mut alone: Vec<String> = Vec::new();
    let mut restored: Vec<String> = Vec::new();
    for key in lost {
        let whole: Vec<String> = groups.keys().filter(|whole| can_be(&key, whole)).cloned().collect();
        let Some(entries) = groups.remove(&key) else { continue };
        let Some((file, _, vm)) = entries.first() else { continue };
        let several_of_one_file = entries.iter().skip(1).any(|(other, ..)| other == file);
        match (&whole[..], several_of_one_file) {
            ([], _) => {
                alone.push(vm.name.clone());
                groups.insert(key, entries);
            }
            ([only], false) => {
                let name = groups.get(only).and_then(|known| known.first()).map(|(_, _, vm)| vm.name.clone());
                let name = name.unwrap_or_else(|| only.clone());
                restored.push(format!("{} is {name}", vm.name));
                let group = groups.entry(only.clone()).or_default();
                group.extend(entries.into_iter().map(|(file, kind, mut vm)| {
                    vm.name.clone_from(&name);
                    (file, kind, vm)
                }));
            }
            (several, _) => {
                let several: Vec<&str> = several.iter().map(String::as_str).collect();
                return Err(ImportError::bad(
                    file,
                    None,
                    format!(
                        "{:?} has lost letters (Windows PowerShell 5 writes question marks for them), and may be each of {}: {MEND}",
                        vm.name,
                        names::some(&several)
                    ),
                ));
            }
        }
    }
    if !restored.is_empty() {
        let restored: Vec<&str> = restored.iter().map(String::as_str).collect();
        remarks.push(format!(
            "names in a list have lost letters (Windows PowerShell 5 writes question marks for them): {}, as the other files call it",
            names::some(&restored)
        ));
    }
    if !alone.is_empty() {
        let alone: Vec<&str> = alone.iter().map(String::as_str).collect();
        remarks.push(format!(
            "{}: a question mark may stand for a letter that was lost (Windows PowerShell 5 writes ASCII); no command would find the VM then: {MEND}",
            names::some(&alone)
        ));
    }
    Ok(())
}

/// Whether a name with lost letters can be this one.
fn can_be(lost: &str, whole: &str) -> bool {
    let lost_or_same = |(lost, whole): (char, char)| lost == whole || (lost == LOST && !whole.is_ascii());
    lost != whole
        && lost.chars().count() == whole.chars().count()
        && lost.chars().zip(whole.chars()).all(lost_or_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_is_any_letter_that_ascii_has_not() {
        assert!(can_be("b?ro", "büro") && can_be("??", "人事") && can_be("a?-?", "a?-é"));
        for (lost, whole) in [("b?ro", "baro"), ("b?ro", "büros"), ("b?ro", "b?ro"), ("b?ro", "köln")] {
            assert!(!can_be(lost, whole), "{lost} {whole}");
        }
    }
}
