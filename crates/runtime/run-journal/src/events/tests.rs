use proptest::prelude::*;

use super::*;

fn read(text: &[u8]) -> Result<Vec<Record>, EventsError> {
    Reader::new(text).collect()
}

const LINE: &str = r#"{"t":5,"seq":1,"component":"a","event":"x","cause":0}"#;

#[test]
fn what_is_wrong_is_named_with_line_and_offset() {
    let error = |text: String| read(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error(format!("{LINE}\n{LINE}")),
        "the events are cut off: line 2, at byte 54, is incomplete; everything before it can be used"
    );
    assert_eq!(
        error(format!("{LINE}\nnothing\n")),
        "line 2, at byte 54, is no event: expected ident at line 1 column 2"
    );
    assert_eq!(
        error("{\"t\":5}\n".to_owned()),
        "line 1, at byte 0, is no event: missing field `seq` at line 1 column 7"
    );
    assert!(error(LINE.replace("\"x\"", "7") + "\n").contains("invalid type: integer `7`, expected a name"));
    assert!(error(LINE.replace("\"cause\":0", "\"cause\":-1") + "\n").contains("invalid value"));
    assert!(error(LINE.replace('}', ",\"a\":[1]}\n")).contains("expected a number, a text, true or false"));
    assert!(
        error(LINE.replace('}', ",\"a\":{\"b\":1}}\n")).contains("expected a number, a text, true or false")
    );
    assert!(error(format!("{LINE}{LINE}\n")).contains("trailing characters"));
    assert!(Reader::open(Path::new("no/such/file")).is_err());
}

#[test]
fn nothing_comes_after_an_error() {
    let mut reader = Reader::new(&b"nothing\n{}\n"[..]);
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

#[test]
fn a_record_is_a_readable_line() {
    let line = r#"{"t":750500000000,"seq":17,"component":"dm-vsp","vm":"VM8","event":"balloon_request","cause":12,"severity":"warning","pages":512,"why":"out of memory"}"#;
    let [record] = &read(format!("{line}\n").as_bytes()).unwrap()[..] else { panic!() };
    assert_eq!(
        record.to_string(),
        "    12m30.500s #17      dm-vsp/VM8               balloon_request pages=512 why=\"out of memory\" [warning] (because of #12)"
    );
}

fn any_value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<u64>().prop_map(FieldValue::Unsigned),
        (i64::MIN..0).prop_map(FieldValue::Negative),
        prop::num::f64::NORMAL.prop_map(FieldValue::Float),
        Just(FieldValue::Float(0.0)),
        any::<bool>().prop_map(FieldValue::Bool),
        any::<String>().prop_map(FieldValue::Text),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let severity = prop_oneof![Just(Severity::Normal), Just(Severity::Warning), Just(Severity::Error)];
    let fields = prop::collection::vec(("f_[a-z]{0,8}".prop_map(Arc::from), any_value()), 0..6);
    let name = || any::<String>().prop_map(Arc::from);
    ((any::<u64>(), any::<u64>(), any::<u64>()), name(), prop::option::of(name()), name(), severity, fields)
        .prop_map(|((t, seq, cause), component, vm, event, severity, fields)| Record {
            t: SimTime(t),
            seq,
            component,
            vm,
            event,
            cause,
            severity,
            fields,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in prop::collection::vec(any_record(), 0..10)) {
        let mut file = Vec::new();
        for record in &records {
            append(&mut file, record);
        }
        prop_assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), records.len());
        prop_assert_eq!(read(&file).unwrap(), records);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _records = read(&bytes);
    }
}
