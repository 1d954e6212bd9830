//! The VMs that a text selects: a name, a range of names, or all.

use super::vm::Vm;

/// Why a text selects no VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unselected {
    /// No VM has this name.
    NoVm(String),
    /// The names of the first and the last VM differ in more than a number.
    NoRange { first: String, last: String },
}

/// The places of the VMs that a text selects. A range goes by the numbers in the names, wherever the VMs stand in the list: it is
/// all VMs that are named alike and have a number from the first to the last, in the order of their numbers, upwards or downwards.
pub(super) fn select(text: &str, vms: &[Vm]) -> Result<Vec<usize>, Unselected> {
    let names: Vec<&str> = vms.iter().map(|vm| vm.name.as_str()).collect();
    select_names(text, &names)
}

fn select_names(text: &str, names: &[&str]) -> Result<Vec<usize>, Unselected> {
    if text == "all" {
        return Ok((0..names.len()).collect());
    }
    let find = |name: &str| {
        let name = name.trim();
        let place = names.iter().position(|known| known.eq_ignore_ascii_case(name));
        place.ok_or_else(|| Unselected::NoVm(name.to_owned()))
    };
    let Some((first, last)) = text.split_once("..") else { return find(text).map(|vm| vec![vm]) };
    let (first, last) = (names[find(first)?], names[find(last)?]);
    let no_range = || Unselected::NoRange { first: first.to_owned(), last: last.to_owned() };
    let (numbered, from, to) = in_common(first, last).ok_or_else(no_range)?;
    let within = from.min(to)..=from.max(to);
    let mut chosen: Vec<(u64, usize)> = names
        .iter()
        .enumerate()
        .filter_map(|(place, name)| Some((numbered.number(name)?, place)))
        .filter(|(number, _)| within.contains(number))
        .collect();
    chosen.sort_unstable();
    if from > to {
        chosen.reverse();
    }
    Ok(chosen.into_iter().map(|(_, place)| place).collect())
}

/// What names have in common that differ in a number.
struct Numbered<'a> {
    before: &'a str,
    behind: &'a str,
}

impl Numbered<'_> {
    /// The number of a name, if it is one of these.
    fn number(&self, name: &str) -> Option<u64> {
        let (before, rest) = name.split_at_checked(self.before.len())?;
        let (number, behind) = rest.split_at_checked(rest.len().checked_sub(self.behind.len())?)?;
        let alike = before.eq_ignore_ascii_case(self.before) && behind.eq_ignore_ascii_case(self.behind);
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if alike && digits { number.parse().ok() } else { None }
    }
}

/// What two names have in common if they differ in a number only, and the two numbers.
fn in_common<'a>(first: &'a str, last: &str) -> Option<(Numbered<'a>, u64, u64)> {
    let bytes = first.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let begins = (0..bytes.len()).filter(|&at| digit(at) && !(at > 0 && digit(at - 1)));
    begins.into_iter().find_map(|begin| {
        let end = (begin..bytes.len()).find(|&at| !digit(at)).unwrap_or(bytes.len());
        let numbered = Numbered { before: &first[..begin], behind: &first[end..] };
        let (from, to) = (numbered.number(first)?, numbered.number(last)?);
        Some((numbered, from, to))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_goes_by_the_numbers_in_the_names() {
        // VM3 has a table of its own, so it stands elsewhere in the list.
        let names = ["VM1", "VM2", "VM4", "VM5", "VM10", "VM3", "Web1", "VM3-old"];
        assert_eq!(select_names("VM1..VM5", &names), Ok(vec![0, 1, 5, 2, 3]));
        assert_eq!(select_names("vm5 .. vm1", &names), Ok(vec![3, 2, 5, 1, 0]));
        assert_eq!(select_names("VM4..VM10", &names), Ok(vec![2, 3, 4]));
        assert_eq!(select_names("VM3..VM3", &names), Ok(vec![5]));
        assert_eq!(select_names("all", &names), Ok((0..8).collect()));
        assert_eq!(select_names("VM3", &names), Ok(vec![5]));
        assert_eq!(select_names("VM1..VM99", &names), Err(Unselected::NoVm("VM99".to_owned())));
        let no_range = Unselected::NoRange { first: "VM1".to_owned(), last: "Web1".to_owned() };
        assert_eq!(select_names("VM1..Web1", &names), Err(no_range));
    }

    #[test]
    fn the_number_may_be_anywhere_in_the_name_and_have_zeros_before_it() {
        let names = ["rack1-vm01-eu", "rack1-vm02-eu", "rack2-vm01-eu", "rack1-vm10-eu"];
        assert_eq!(select_names("rack1-vm01-eu..rack1-vm10-eu", &names), Ok(vec![0, 1, 3]));
        assert_eq!(select_names("rack1-vm01-eu..rack2-vm01-eu", &names), Ok(vec![0, 2]));
        let differ = select_names("rack1-vm02-eu..rack2-vm01-eu", &names);
        assert!(matches!(differ, Err(Unselected::NoRange { .. })));
    }

    proptest! {
        #[test]
        fn no_names_are_a_panic(text in "[aé1.]{0,9}", names in proptest::collection::vec("[aé12]{1,5}", 1..6)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Ok(places) = select_names(&text, &names) {
                prop_assert!(places.iter().all(|&place| place < names.len()));
            }
        }
    }
}
