use component_runtime::MachineRecorder as _;
use serde::Deserialize;

use super::*;
use crate::{EventsLevel, Recorder, buffer, journal::Reader};

/// A machine to be replayed: adds up what it is given.
#[derive(Default)]
struct Sum {
    total: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Input {
    Add(u64),
    Reset,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Output {
    Total(u64),
    Overflow { limit: u64 },
}

impl Sum {
    fn handle(&mut self, input: &Input, limit: u64) -> Vec<Output> {
        match input {
            Input::Add(number) => self.total += number,
            Input::Reset => {
                self.total = 0;
                return Vec::new();
            }
        }
        let mut outputs = vec![Output::Total(self.total)];
        if self.total > limit {
            outputs.push(Output::Overflow { limit });
        }
        outputs
    }
}

const INPUTS: [Input; 5] = [Input::Add(3), Input::Add(4), Input::Reset, Input::Add(50), Input::Add(1)];

/// A journal of two machines that take turns.
fn journal() -> Vec<u8> {
    let (file, contents) = buffer();
    let recorder = Recorder::to_writers(None, Some(file), EventsLevel::All).unwrap();
    let (mut a, mut b) = (Sum::default(), Sum::default());
    for (t, input) in (0..).map(SimTime).zip(&INPUTS) {
        recorder.input("sum/VM1", t, input);
        recorder.input("sum/VM2", t, input);
        for output in a.handle(input, 10) {
            recorder.output("sum/VM1", t, &output);
        }
        for output in b.handle(input, 1000) {
            recorder.output("sum/VM2", t, &output);
        }
    }
    recorder.finish().unwrap();
    contents.contents()
}

fn replayed(machine: &str, limit: u64) -> Result<Replay, ReplayError> {
    let mut sum = Sum::default();
    replay(Reader::new(&journal()[..]).unwrap(), machine, |_, input: Input| sum.handle(&input, limit))
}

#[test]
fn the_same_machine_gives_the_same_outputs() {
    let result = replayed("sum/VM1", 10).unwrap();
    assert_eq!((result.inputs, result.outputs, result.different), (5, 6, 0));
    assert!(result.is_equal());
    assert!(replayed("sum/VM2", 1000).unwrap().is_equal());
}

#[test]
fn another_machine_is_found_out() {
    let result = replayed("sum/VM1", 50).unwrap();
    assert!(!result.is_equal());
    assert_eq!(
        result.differences,
        [
            Difference {
                input: 4,
                t: SimTime(3),
                recorded: vec!["Total(50)".to_owned(), "Overflow { limit: 10 }".to_owned()],
                replayed: vec!["Total(50)".to_owned()],
            },
            Difference {
                input: 5,
                t: SimTime(4),
                recorded: vec!["Total(51)".to_owned(), "Overflow { limit: 10 }".to_owned()],
                replayed: vec!["Total(51)".to_owned(), "Overflow { limit: 50 }".to_owned()],
            },
        ]
    );
}

#[test]
fn times_are_those_of_the_run() {
    let mut times = Vec::new();
    replay(Reader::new(&journal()[..]).unwrap(), "sum/VM2", |t, _: Input| {
        times.push(t.0);
        Vec::<Output>::new()
    })
    .unwrap();
    assert_eq!(times, [0, 1, 2, 3, 4]);
}

#[test]
fn an_unknown_machine_is_named_with_the_known_ones() {
    let error = replayed("sum/vm3", 10).unwrap_err().to_string();
    assert_eq!(
        error,
        "no inputs of \"sum/vm3\" are recorded; recorded are sum/VM1, sum/VM2 (did you mean \"sum/VM1\"?)"
    );
    let (file, contents) = buffer();
    Recorder::to_writers(None, Some(file), EventsLevel::None).unwrap();
    let empty = contents.contents();
    let error =
        replay(Reader::new(&empty[..]).unwrap(), "x", |_, _: Input| Vec::<Output>::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no inputs of \"x\" are recorded; no machine's are: replay needs a run with --events all"
    );
}

#[test]
fn values_of_another_version_are_named() {
    let error =
        replay(Reader::new(&journal()[..]).unwrap(), "sum/VM1", |_, _: [u64; 9]| Vec::<Output>::new());
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("input number 1 of \"sum/VM1\", at 0s, is none of this version's: "),
        "{error}"
    );
}

#[test]
fn outputs_without_input_are_named() {
    let (file, contents) = buffer();
    let recorder = Recorder::to_writers(None, Some(file), EventsLevel::All).unwrap();
    recorder.output("sum/VM1", SimTime(0), &Output::Total(1));
    recorder.finish().unwrap();
    let bytes = contents.contents();
    let error =
        replay(Reader::new(&bytes[..]).unwrap(), "sum/VM1", |_, _: Input| Vec::<Output>::new()).unwrap_err();
    assert_eq!(error.to_string(), "the journal has an output of \"sum/VM1\" before its first input");
}

/// Wherever a journal ends, what is there is equal, and what is missing is said.
#[test]
fn a_journal_cut_anywhere_is_replayed_as_far_as_it_goes() {
    let whole = journal();
    let (mut incomplete, mut cut, mut no_input) = (0, 0, 0);
    for length in 12..=whole.len() {
        let mut sum = Sum::default();
        let journal = Reader::new(&whole[..length]).unwrap();
        match replay(journal, "sum/VM1", |_, input: Input| sum.handle(&input, 10)) {
            Ok(result) => {
                assert!(result.is_equal(), "{length}: {result:?}");
                assert!(result.cut_off.is_none_or(|offset| offset <= length as u64));
                cut += usize::from(result.cut_off.is_some());
                incomplete += usize::from(result.last_incomplete);
            }
            // Its first input was cut off, which the error says, unless the journal ends between two entries.
            Err(error @ ReplayError::UnknownMachine { cut_off, .. }) => {
                assert_eq!(cut_off.is_some(), error.to_string().contains("cut off at byte"), "{error}");
                no_input += usize::from(cut_off.is_some());
            }
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert!(cut > 100 && incomplete > 10 && no_input > 10, "{cut} {incomplete} {no_input}");
}
