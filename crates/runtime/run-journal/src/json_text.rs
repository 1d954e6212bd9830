//! Text as a JSON string.

/// Appends `text` as a JSON string, quotation marks included.
pub(crate) fn append_text(out: &mut Vec<u8>, text: &str) {
    // All bytes are looked at, without an end in between: the compiler looks at many at once then.
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing text into memory cannot fail.
        let _: Result<(), serde_json::Error> = serde_json::to_writer(&mut *out, text);
    }
}
