//! Text in the encodings that people's tools write.

use core::fmt;
use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::str::FromStr;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};

/// The longest line that is read, bytes: a counter file of 100 000 VMs has a first line of about a tenth of that. Invented.
pub const LONGEST_LINE: u64 = 1 << 30;

/// How a file's text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// UTF-8, or a code page: only the single line can tell.
    Bytes,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// Told by a file's first bytes, and the length of the byte-order mark.
    ///
    /// A text whose first character is of ASCII has a zero beside it in UTF-16, with or without a mark.
    fn of(first: &[u8]) -> (Self, usize) {
        match first {
            [0xef, 0xbb, 0xbf, ..] => (Self::Bytes, 3),
            [0xff, 0xfe, ..] => (Self::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Self::Utf16Be, 2),
            [first, 0, ..] if *first != 0 => (Self::Utf16Le, 0),
            [0, second, ..] if *second != 0 => (Self::Utf16Be, 0),
            _ => (Self::Bytes, 0),
        }
    }
}

/// Lines that are no UTF-8 were read in a code page that was guessed from them, as a browser guesses it. Letters beyond ASCII may be
/// wrong, and so may be what stands right after them where the guess has characters of two bytes; numbers in fields of their own and
/// English names are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePage {
    /// The first such line, from 1.
    pub line: u64,
    /// The code page that was guessed.
    pub name: CodePageName,
}

impl fmt::Display for CodePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} is not UTF-8: such lines are read in the code page {}; if letters come out wrong, convert the file first \
             (iconv -f CODEPAGE -t UTF-8)",
            self.line, self.name
        )
    }
}

/// A code page. A user may name it: what a file is written in cannot always be told from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePageName(&'static encoding_rs::Encoding);

impl CodePageName {
    /// The code page that text without any mark is most likely written in: this line, and what follows it.
    fn guess(line: &[u8], following: &[u8]) -> Self {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(line, false);
        detector.feed(following, false);
        Self(detector.guess(None, Utf8Detection::Deny))
    }
}

/// Windows' numbers of code pages that the Encoding Standard knows by another name.
const NUMBERED: [(&str, &str); 6] = [
    ("932", "shift_jis"),
    ("936", "gbk"),
    ("949", "euc-kr"),
    ("950", "big5"),
    ("54936", "gb18030"),
    ("65001", "utf-8"),
];

impl FromStr for CodePageName {
    type Err = UnknownCodePage;

    /// A label of the Encoding Standard (encoding.spec.whatwg.org) such as `windows-1250` or `shift_jis`, or Windows' number, with or
    /// without `cp` before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().to_ascii_lowercase();
        let number = number.strip_prefix("cp").unwrap_or(&number);
        let numbered =
            NUMBERED.iter().find(|(known, _)| *known == number).map(|(_, label)| (*label).to_owned());
        let labels = [
            text.trim().to_owned(),
            numbered.unwrap_or_default(),
            format!("windows-{number}"),
            format!("ibm{number}"),
        ];
        let found = labels.iter().find_map(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        found.map(Self).ok_or_else(|| UnknownCodePage(text.to_owned()))
    }
}

impl fmt::Display for CodePageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// A name that no code page has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no code page is called {0:?}: write its name, such as windows-1250, shift_jis or gbk, or Windows' number, such as 932"
)]
pub struct UnknownCodePage(String);

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// What the input says.
    #[error("line {line}: {cause}")]
    Io {
        /// The line that it happened in, from 1.
        line: u64,
        /// What it says.
        cause: io::Error,
    },
    /// The line has no end.
    #[error("line {line} is longer than {LONGEST_LINE} bytes: this is no text")]
    TooLong {
        /// The line, from 1.
        line: u64,
    },
}

impl LineError {
    /// The line that it happened in, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        match self {
            Self::Io { line, .. } | Self::TooLong { line } => *line,
        }
    }
}

impl From<LineError> for io::Error {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Io { cause, .. } => cause,
            LineError::TooLong { .. } => Self::new(io::ErrorKind::InvalidData, error.to_string()),
        }
    }
}

/// The lines of a text file, numbered, without their ends (LF or CR LF), whatever the file's encoding.
///
/// UTF-16 is told by its byte-order mark, or by the zero beside a first character of ASCII. Lines that are no UTF-8 are read in a
/// [code page](Self::code_page), which is guessed from the first of them and what of the file is in memory then. Half a character
/// becomes U+FFFD.
#[derive(Debug)]
pub struct TextLines<R> {
    input: BufReader<io::Chain<Cursor<Vec<u8>>, R>>,
    encoding: Encoding,
    /// What went wrong when the first bytes were read; it is told of the first line.
    trouble: Option<io::Error>,
    longest: u64,
    number: u64,
    code_page: Option<CodePage>,
    /// The encoding of all lines, if the user has named it.
    named: Option<CodePageName>,
    bytes: Vec<u8>,
    text: String,
    /// Whether the line that was read last has its end.
    ended: bool,
}

impl<R: Read> TextLines<R> {
    /// The lines of `input`, which is read in blocks.
    pub fn new(mut input: R) -> Self {
        let mut first = Vec::new();
        let trouble = input.by_ref().take(3).read_to_end(&mut first).err();
        let (encoding, mark) = Encoding::of(&first);
        first.drain(..mark);
        Self {
            input: BufReader::new(Cursor::new(first).chain(input)),
            encoding,
            trouble,
            longest: LONGEST_LINE,
            number: 0,
            code_page: None,
            named: None,
            bytes: Vec::new(),
            text: String::new(),
            ended: true,
        }
    }

    /// The same lines, of which it is known that they are written in this code page. UTF-16 is told by its mark all the same.
    #[must_use]
    pub fn in_code_page(mut self, named: CodePageName) -> Self {
        self.named = Some(named);
        match self.encoding {
            Encoding::Bytes if named.0 == UTF_16LE => self.encoding = Encoding::Utf16Le,
            Encoding::Bytes if named.0 == UTF_16BE => self.encoding = Encoding::Utf16Be,
            _ => {}
        }
        self
    }

    /// The number of the line that was read last, from 1; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether a line was read in a code page, which is a guess to be told.
    pub fn code_page(&self) -> Option<CodePage> {
        self.code_page
    }

    /// The line that was read last.
    pub fn line(&self) -> &str {
        &self.text
    }

    /// Whether the file ends within the line that was read last: it has no line break. The last line of a file that is cut off
    /// is such a line.
    pub fn is_unended(&self) -> bool {
        !self.ended
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// An input that cannot be read, and a line above [`LONGEST_LINE`].
    pub fn next_line(&mut self) -> Result<Option<&str>, LineError> {
        let line = self.number + 1;
        let read = self.trouble.take().map_or_else(|| self.read(), Err);
        match read {
            Ok(false) => return Ok(None),
            Ok(true) => self.number = line,
            Err(cause) => return Err(LineError::Io { line, cause }),
        }
        if self.bytes.len() as u64 >= self.longest {
            return Err(LineError::TooLong { line });
        }
        let text = match self.encoding {
            Encoding::Utf16Le => UTF_16LE.decode_without_bom_handling(&self.bytes).0,
            Encoding::Utf16Be => UTF_16BE.decode_without_bom_handling(&self.bytes).0,
            Encoding::Bytes => match (self.named, core::str::from_utf8(&self.bytes)) {
                (Some(CodePageName(named)), _) if named != UTF_8 => {
                    named.decode_without_bom_handling(&self.bytes).0
                }
                (_, Ok(text)) => Cow::Borrowed(text),
                (_, Err(_)) => {
                    let guess =
                        || CodePage { line, name: CodePageName::guess(&self.bytes, self.input.buffer()) };
                    let CodePageName(guessed) = self.code_page.get_or_insert_with(guess).name;
                    guessed.decode_without_bom_handling(&self.bytes).0
                }
            },
        };
        self.ended = text.ends_with('\n');
        let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        self.text.clear();
        self.text.push_str(text);
        Ok(Some(&self.text))
    }

    /// Reads the bytes of one line with its end; false at the end of the input.
    fn read(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        loop {
            let left = self.longest.saturating_sub(self.bytes.len() as u64);
            if self.input.by_ref().take(left).read_until(b'\n', &mut self.bytes)? == 0 {
                break;
            }
            let whole = match (self.encoding, &self.bytes[..]) {
                (Encoding::Bytes, _) => true,
                (Encoding::Utf16Be, [.., 0, b'\n']) => self.bytes.len().is_multiple_of(2),
                (Encoding::Utf16Le, [.., b'\n']) if !self.bytes.len().is_multiple_of(2) => {
                    self.input.by_ref().take(1).read_to_end(&mut self.bytes)?;
                    self.bytes.last() == Some(&0)
                }
                _ => false,
            };
            if whole {
                break;
            }
        }
        Ok(!self.bytes.is_empty())
    }
}

/// Bytes that are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not UTF-8 text (byte {byte} of the file): save it as UTF-8")]
pub struct NotText {
    /// The line, from 1.
    pub line: usize,
    /// The byte, from 0.
    pub byte: usize,
}

/// All of a text file that must be UTF-8, or UTF-16 with its byte-order mark; the mark is left out.
///
/// # Errors
/// The place of what is neither.
pub fn decode(bytes: Vec<u8>) -> Result<String, NotText> {
    match Encoding::of(&bytes) {
        (Encoding::Utf16Le, mark) => Ok(UTF_16LE.decode_without_bom_handling(&bytes[mark..]).0.into_owned()),
        (Encoding::Utf16Be, mark) => Ok(UTF_16BE.decode_without_bom_handling(&bytes[mark..]).0.into_owned()),
        (Encoding::Bytes, mark) => {
            let mut text = String::from_utf8(bytes).map_err(|error| {
                let byte = error.utf8_error().valid_up_to();
                let before = &error.as_bytes()[..byte];
                NotText { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, byte }
            })?;
            text.drain(..mark);
            Ok(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8]) -> (Vec<String>, Option<u64>) {
        let mut lines = TextLines::new(bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line.to_owned());
        }
        (all, lines.code_page().map(|page| page.line))
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_code_page_that_is_named_is_used() {
        let page = |name: &str| name.parse::<CodePageName>();
        let read = |bytes: &[u8], name: &str| {
            let mut lines = TextLines::new(bytes).in_code_page(page(name).unwrap());
            let text = lines.next_line().unwrap().unwrap().to_owned();
            assert_eq!(lines.code_page(), None, "nothing is guessed");
            text
        };
        // ECMA and Windows: \u{141} in windows-1250, and two kana in the code page of Japan.
        for name in ["windows-1250", "cp1250", "1250", "CP1250"] {
            assert_eq!(read(b"\xa3\xf3d\x9f\r\n", name), "Łódź");
        }
        for name in ["shift_jis", "932", "cp932"] {
            assert_eq!(read(b"\x83\x81\x83\x82\n", name), "メモ");
        }
        assert_eq!(read("Größe\n".as_bytes(), "utf-8"), "Größe");
        assert_eq!(read(b"a\0\n\0", "utf-16le"), "a");
        let error = page("klingon").unwrap_err().to_string();
        assert!(
            error.starts_with("no code page is called \"klingon\": write its name, such as windows-1250"),
            "{error}"
        );
    }

    #[test]
    fn every_encoding_gives_the_same_lines() {
        // U+0A0A and U+0A00 have the byte of a line's end in them.
        let text = "a,\"Büro\"\r\n東京 \u{a0a}\u{a00}\n\nlast";
        let expected = ["a,\"Büro\"", "東京 \u{a0a}\u{a00}", "", "last"].map(str::to_owned).to_vec();
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
            utf16(&marked, u16::to_le_bytes),
            utf16(&marked, u16::to_be_bytes),
        ] {
            assert_eq!(lines(&bytes), (expected.clone(), None), "{bytes:x?}");
            assert_eq!(decode(bytes).unwrap(), text);
        }
    }

    #[test]
    fn a_line_that_is_no_utf_8_is_of_a_code_page_and_told() {
        let (all, page) = lines(b"vm,t\nB\xfcro \x80,0\nB\xc3\xbcro,1\n");
        assert_eq!((&all[1][..], &all[2][..], page), ("Büro €,0", "Büro,1", Some(2)));
        let page = CodePage { line: 2, name: "1252".parse().unwrap() };
        assert!(
            page.to_string()
                .starts_with("line 2 is not UTF-8: such lines are read in the code page windows-1252;")
        );
        let error = decode(b"a = 1\nb = \"\xfc\"\n".to_vec()).unwrap_err();
        assert_eq!(error, NotText { line: 2, byte: 11 });
    }

    #[test]
    fn a_code_page_is_guessed_from_what_is_written_in_it() {
        // What an administrator has: names of VMs, and the headers of `Get-VM | Export-Csv` with calculated columns.
        for (name, text) in [
            ("windows-1252", "\"Name\",\"Größe\"\n\"Büro-01\",\"1\"\n"),
            ("windows-1252", "\"Name\",\"Mémoire affectée\"\n\"Comptabilité\",\"1\"\n"),
            ("windows-1252", "\"Büro\"\n"),
            ("windows-1252", "\"SQL-Büro\",\"läuft\"\n"),
            ("windows-1250", "\"Nazwa\",\"Przydzielona pamięć\"\n\"Księgowość\",\"Działa\"\n"),
            ("windows-1251", "\"Имя\",\"Память\"\n\"Бухгалтерия\",\"Работает\"\n"),
            ("Shift_JIS", "\"名前\",\"メモリの割り当て\"\n\"経理\",\"実行中\"\n"),
            ("Shift_JIS", "\"会計サーバー\",\"1\"\n"),
            ("GBK", "\"名称\",\"分配的内存\"\n\"财务服务器\",\"正在运行\"\n"),
            ("Big5", "\"名稱\",\"指派的記憶體\"\n\"會計伺服器\",\"執行中\"\n"),
            ("EUC-KR", "\"이름\",\"할당된 메모리\"\n\"회계서버\",\"실행 중\"\n"),
        ] {
            let page: CodePageName = name.parse().unwrap();
            let bytes = page.0.encode(text).0;
            let mut lines = TextLines::new(&bytes[..]);
            let mut read = String::new();
            while let Some(line) = lines.next_line().unwrap() {
                read.push_str(line);
                read.push('\n');
            }
            assert_eq!((&read[..], lines.code_page().map(|page| page.name)), (text, Some(page)), "{name}");
        }
    }

    #[test]
    fn lines_without_end_are_refused() {
        let mut endless = TextLines::new(io::repeat(b'x'));
        endless.longest = 1000;
        assert!(matches!(endless.next_line(), Err(LineError::TooLong { line: 1 })));
        let mut endless = TextLines::new(b"\xff\xfe".chain(io::repeat(b'x')));
        endless.longest = 1000;
        assert!(matches!(endless.next_line(), Err(LineError::TooLong { line: 1 })));
    }

    #[test]
    fn short_inputs() {
        for (bytes, expected) in
            [(&b""[..], &[][..]), (b"\n", &[""]), (b"a", &["a"]), (b"\xff\xfe", &[]), (b"\xef\xbb\xbf", &[])]
        {
            assert_eq!(lines(bytes).0, expected);
        }
        assert_eq!(lines(b"\xff\xfea\0b").0, ["a\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic_or_lost(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (all, _) = lines(&bytes);
            prop_assert_eq!(all.is_empty(), bytes.is_empty() || Encoding::of(&bytes).1 == bytes.len());
        }

        #[test]
        fn text_is_the_same_in_utf_16(text in "[a-z\u{a0a}\u{a00}\u{10ffff}é\n]{1,60}") {
            let marked = format!("\u{feff}{text}");
            let expected: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
            prop_assert_eq!(lines(&utf16(&marked, u16::to_le_bytes)).0, expected.clone());
            prop_assert_eq!(lines(&utf16(&marked, u16::to_be_bytes)).0, expected);
        }
    }
}
