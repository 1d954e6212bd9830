//! Columns of numbers and texts, packed as JSON that is short and quickly read.
//!
//! A column is one of these objects; `page/model.js` unpacks them:
//!
//! | object | the values |
//! |---|---|
//! | `{"c":V}` | `V`, everywhere |
//! | `{"v":[…]}` | as they are |
//! | `{"d":[…]}` | sums: each value is the one before and this |
//! | `{"e":[…]}` | sums of sums |
//! | `{"i":[…]}` | indices into the page's texts |
//! | `{"k":I}` | the text with this index, everywhere |
//!
//! Of the three forms of whole numbers the shortest is taken. Counters of every second, numbers and times of events become mostly zeros.

use charts::page::json;
use serde_json::Value;

/// Largest whole number that JavaScript's numbers hold exactly.
const EXACT: i64 = (1 << 53) - 1;

/// Texts, each once, in the order in which they were first met.
#[derive(Debug, Default)]
pub struct Texts {
    places: std::collections::BTreeMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    /// The index of a text.
    pub fn index(&mut self, text: &str) -> usize {
        if let Some(&index) = self.places.get(text) {
            return index;
        }
        self.places.insert(text.to_owned(), self.texts.len());
        self.texts.push(text.to_owned());
        self.texts.len() - 1
    }

    /// All of them, in the order of their indices.
    #[must_use]
    pub fn into_all(self) -> Vec<String> {
        self.texts
    }

    /// All of them, in the order of their indices.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.texts
    }
}

/// A column while it grows: whole numbers as long as there is nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers that JavaScript holds exactly.
    Whole(Vec<i64>),
    /// Indices of texts.
    Texts(Vec<usize>),
    /// Anything.
    Mixed(Vec<Value>),
}

impl Default for Column {
    fn default() -> Self {
        Self::Whole(Vec::new())
    }
}

/// A value for a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A whole number.
    Whole(i64),
    /// The index of a text.
    Text(usize),
    /// Anything else.
    Other(Value),
}

impl Cell {
    /// A number that is whole and not negative.
    #[must_use]
    pub fn unsigned(number: u64) -> Self {
        match i64::try_from(number) {
            Ok(whole) if whole <= EXACT => Self::Whole(whole),
            // As a text: a number of JavaScript's would be another one.
            _ => Self::Other(Value::String(number.to_string())),
        }
    }

    fn value(self, texts: &Texts) -> Value {
        match self {
            Self::Whole(number) => number.into(),
            Self::Text(index) => texts.texts.get(index).cloned().into(),
            Self::Other(value) => value,
        }
    }
}

impl Column {
    /// Appends a value.
    pub fn push(&mut self, cell: Cell, texts: &Texts) {
        match (&mut *self, cell) {
            (Self::Whole(numbers), Cell::Whole(number)) if number.abs() <= EXACT => numbers.push(number),
            (Self::Whole(numbers), Cell::Text(index)) if numbers.is_empty() => {
                *self = Self::Texts(vec![index]);
            }
            (Self::Texts(indices), Cell::Text(index)) => indices.push(index),
            (Self::Mixed(values), cell) => values.push(cell.value(texts)),
            (_, cell) => {
                let mut values = self.values(texts);
                values.push(cell.value(texts));
                *self = Self::Mixed(values);
            }
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(numbers) => numbers.len(),
            Self::Texts(indices) => indices.len(),
            Self::Mixed(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn values(&self, texts: &Texts) -> Vec<Value> {
        match self {
            Self::Whole(numbers) => numbers.iter().copied().map(Value::from).collect(),
            Self::Texts(indices) => indices.iter().map(|&index| Cell::Text(index).value(texts)).collect(),
            Self::Mixed(values) => values.clone(),
        }
    }

    /// Appends the packed column to JSON text. `number` says which number the page has for a text.
    pub fn pack(&self, number: &mut impl FnMut(usize) -> usize, out: &mut Vec<u8>) {
        match self {
            Self::Whole(numbers) => pack_whole(numbers, out),
            Self::Texts(indices) => {
                if let Some((&first, rest)) = indices.split_first()
                    && rest.iter().all(|&index| index == first)
                {
                    out.extend_from_slice(b"{\"k\":");
                    integer(number(first), out);
                    out.push(b'}');
                } else {
                    list(b"{\"i\":[", indices.iter().map(|&index| number(index)), out);
                }
            }
            Self::Mixed(values) => {
                out.extend_from_slice(b"{\"v\":");
                json(values, out);
                out.push(b'}');
            }
        }
    }
}

/// Appends a whole number.
pub fn integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn list(before: &[u8], numbers: impl Iterator<Item = impl itoa::Integer>, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    for (index, number) in numbers.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        integer(number, out);
    }
    out.extend_from_slice(b"]}");
}

/// Packs whole numbers of at most 2^53.
pub fn pack_whole(numbers: &[i64], out: &mut Vec<u8>) {
    if let Some((&first, rest)) = numbers.split_first()
        && rest.iter().all(|&number| number == first)
    {
        out.extend_from_slice(b"{\"c\":");
        integer(first, out);
        out.push(b'}');
        return;
    }
    let sums = differences(numbers.iter().copied());
    let sums_of_sums = differences(sums.iter().copied());
    let lengths = [digits(numbers), digits(&sums), digits(&sums_of_sums)];
    // Differences of differences of the largest numbers are beyond what JavaScript adds exactly.
    let exact = sums_of_sums.iter().all(|number| number.abs() <= EXACT);
    if exact && lengths[2] < lengths[1].min(lengths[0]) {
        list(b"{\"e\":[", sums_of_sums.into_iter(), out);
    } else if sums.iter().all(|number| number.abs() <= EXACT) && lengths[1] < lengths[0] {
        list(b"{\"d\":[", sums.into_iter(), out);
    } else {
        list(b"{\"v\":[", numbers.iter().copied(), out);
    }
}

/// Each number less the one before.
fn differences(numbers: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0_i64;
    numbers
        .map(|number| {
            let difference = number.wrapping_sub(before);
            before = number;
            difference
        })
        .collect()
}

/// About as many characters as the numbers take.
fn digits(numbers: &[i64]) -> usize {
    let one = |number: &i64| {
        let sign = usize::from(*number < 0);
        sign + number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
    };
    numbers.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `page/model.js` does, for whole numbers.
    fn unpack(packed: &[u8], length: usize) -> Vec<i64> {
        let packed: Value = serde_json::from_slice(packed).unwrap();
        let (kind, value) = packed.as_object().unwrap().iter().next().unwrap();
        if kind == "c" {
            return vec![value.as_i64().unwrap(); length];
        }
        let mut numbers: Vec<i64> =
            value.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect();
        let rounds = match kind.as_str() {
            "v" => 0,
            "d" => 1,
            "e" => 2,
            other => panic!("{other}"),
        };
        for _ in 0..rounds {
            let mut sum = 0;
            for number in &mut numbers {
                sum += *number;
                *number = sum;
            }
        }
        numbers
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(numbers in prop::collection::vec(prop_oneof![-9_i64..9, -EXACT..=EXACT], 1..50)) {
            let mut out = Vec::new();
            pack_whole(&numbers, &mut out);
            prop_assert_eq!(unpack(&out, numbers.len()), numbers);
        }
    }

    fn packed(cells: Vec<Cell>, texts: &Texts) -> String {
        let mut column = Column::default();
        let count = cells.len();
        for cell in cells {
            column.push(cell, texts);
        }
        assert_eq!(column.len(), count);
        let mut out = Vec::new();
        column.pack(&mut |index| index, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_shortest_form_is_taken() {
        let texts = Texts::default();
        let whole = |numbers: &[i64]| packed(numbers.iter().copied().map(Cell::Whole).collect(), &texts);
        assert_eq!(whole(&[7, 7, 7]), r#"{"c":7}"#);
        assert_eq!(whole(&[3, 1, 4]), r#"{"v":[3,1,4]}"#);
        assert_eq!(whole(&[1000, 1001, 1003]), r#"{"d":[1000,1,2]}"#);
        assert_eq!(whole(&[1000, 2000, 3000, 4000]), r#"{"e":[1000,0,0,0]}"#);
    }

    #[test]
    fn a_column_takes_anything_and_nothing_ends_the_script() {
        let mut texts = Texts::default();
        let (a, b) = (texts.index("a"), texts.index("</script>"));
        assert_eq!(texts.index("a"), a);
        assert_eq!(packed(vec![Cell::Text(a), Cell::Text(a)], &texts), r#"{"k":0}"#);
        assert_eq!(packed(vec![Cell::Text(a), Cell::Text(b)], &texts), r#"{"i":[0,1]}"#);
        assert_eq!(
            packed(vec![Cell::Whole(1), Cell::Text(b), Cell::Other(true.into())], &texts),
            r#"{"v":[1,"\u003c/script>",true]}"#
        );
        assert_eq!(packed(vec![Cell::unsigned(u64::MAX)], &texts), r#"{"v":["18446744073709551615"]}"#);
    }
}
