//! Asking a Prometheus server.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use load_import::{Input, METRICS};

use crate::commands::bad_input;

/// How long to wait for a server to answer at all. Invented.
const PATIENCE: Duration = Duration::from_secs(60);
/// Values of a metric that a server gives in one answer: Prometheus refuses more ("exceeded maximum resolution of 11,000 points per
/// timeseries", its web/api/v1).
const MOST_VALUES: i64 = 11_000;
/// Answers that are asked for at most: 1000 are 20 years of a value a minute. Invented.
const MOST_ANSWERS: usize = 1000;
/// Bytes that are read of an answer: a month of a hundred VMs every minute is a fifth of it. Invented.
const MOST_BYTES: u64 = 2 << 30;

/// A server that speaks plain HTTP, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    host: String,
    port: u16,
    /// The path before `/api/v1`.
    path: String,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(if text.starts_with("https://") {
                "only plain http:// is spoken: ask with curl, and give the file that it wrote".to_owned()
            } else {
                "write http://HOST:PORT, such as http://monitoring:9090".to_owned()
            });
        };
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        // An IPv6 address stands in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("{port:?} is no port"))?)
            }
            _ => (place, 9090),
        };
        let good = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#');
        if host.is_empty() || !host.chars().chain(path.chars()).all(good) {
            return Err("write http://HOST:PORT, such as http://monitoring:9090".to_owned());
        }
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), port, path })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

impl Server {
    /// Asks for all metrics that are read, for as long a time at once as a server answers.
    pub(crate) fn ask(&self, from: &str, to: &str, step: Duration) -> Result<Input> {
        let begin = milliseconds("--from", from)?;
        let end = milliseconds("--to", to)?;
        if begin >= end {
            return Err(bad_input(format!("--from {from} is not before --to {to}")));
        }
        if spans(begin, end, step).nth(MOST_ANSWERS).is_some() {
            return Err(bad_input(format!(
                "--from {from} --to {to} are more than {MOST_ANSWERS} answers of {MOST_VALUES} values: say a longer --resolution, or a shorter time"
            )));
        }
        let mut answers = Vec::new();
        for (first, last) in spans(begin, end, step) {
            answers.extend(self.ask_once(first, last, step)?);
            answers.push(b'\n');
        }
        Ok(Input::of_bytes(&self.name(), answers))
    }

    /// Its name in messages.
    fn name(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// The body of one answer, with values from one time to another, milliseconds since 1970.
    fn ask_once(&self, from: i64, to: i64, step: Duration) -> Result<Vec<u8>> {
        let query = format!("{{__name__=~\"{}\"}}", METRICS.join("|"));
        let request = format!(
            "GET {}/api/v1/query_range?query={}&start={}&end={}&step={} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
            self.path,
            encoded(&query),
            seconds(from),
            seconds(to),
            step.as_secs_f64(),
            self.host
        );
        let name = self.name();
        let answer = self.send(&request).with_context(|| format!("{name} cannot be asked"))?;
        let (head, body) = split(&answer).with_context(|| format!("{name} does not answer in HTTP"))?;
        let status = head.split_whitespace().nth(1).unwrap_or("");
        // Prometheus says what is wrong in the body of an answer of 4xx.
        if status != "200" && !body.starts_with(b"{") {
            anyhow::bail!("{name} answered with status {status}: is it Prometheus?");
        }
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        if chunked {
            unchunked(body).with_context(|| format!("{name}: its answer is cut off"))
        } else {
            Ok(body.to_vec())
        }
    }

    fn send(&self, request: &str) -> Result<Vec<u8>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let address = (host, self.port).to_socket_addrs()?.next().context("its name has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MOST_BYTES + 1).read_to_end(&mut answer)?;
        anyhow::ensure!(
            answer.len() as u64 <= MOST_BYTES,
            "its answer has more than 2 GB: ask for less time, or a longer --resolution"
        );
        Ok(answer)
    }
}

/// A time as Prometheus reads it: a date, or seconds since 1970.
fn milliseconds(option: &str, time: &str) -> Result<i64> {
    let number = time.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let seconds = number.map(|seconds| (seconds * 1000.0) as i64);
    let date = time.parse::<perf_counters::Epoch>().ok();
    seconds
        .or_else(|| i64::try_from(date?.unix_nanos() / 1_000_000).ok())
        .ok_or_else(|| bad_input(format!("{option} {time}: write a time such as 2026-09-14T00:00:00Z")))
}

/// The times of the first and the last value of each answer.
fn spans(begin: i64, end: i64, step: Duration) -> impl Iterator<Item = (i64, i64)> {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut next = begin;
    std::iter::from_fn(move || {
        let first = next;
        let last = first.saturating_add(step.saturating_mul(MOST_VALUES - 1)).min(end);
        next = last.saturating_add(step);
        (first <= end).then_some((first, last))
    })
}

/// Milliseconds as seconds.
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// As in a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(answer.get(..end)?).into_owned();
    head.starts_with("HTTP/").then_some((head, answer.get(end + 4..)?))
}

/// The body of an answer in chunks.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(body.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        body = body.get(end + 2..)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(..size)?);
        body = body.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_url() {
        let server = |text: &str| text.parse::<Server>();
        assert_eq!(
            server("http://a:9091/prom/"),
            Ok(Server { host: "a".into(), port: 9091, path: "/prom".into() })
        );
        assert_eq!(
            server("http://[::1]:9"),
            Ok(Server { host: "[::1]".into(), port: 9, path: String::new() })
        );
        for text in ["http://a:9091/prom", "http://[::1]:9"] {
            assert_eq!(server(text).unwrap().to_string(), text);
        }
        assert_eq!(server("http://a").unwrap().port, 9090);
        for text in ["a:9090", "https://a", "http://", "http://a:x", "http://a b", "http://u@a"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn months_are_asked_for_in_parts_that_a_server_answers() {
        let day = 86_400_000;
        let parts: Vec<_> = spans(day, 91 * day, Duration::from_secs(60)).collect();
        assert_eq!((parts[0].0, parts[parts.len() - 1].1), (day, 91 * day));
        for (first, last) in &parts {
            assert!((last - first) / 60_000 < MOST_VALUES, "{first} {last}");
        }
        // No value twice, and none left out.
        assert!(parts.windows(2).all(|pair| pair[1].0 == pair[0].1 + 60_000), "{parts:?}");
        assert_eq!(spans(0, day, Duration::from_secs(60)).count(), 1);
    }

    #[test]
    fn answers_come_apart() {
        let (head, body) =
            split(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n")
                .unwrap();
        assert!(head.starts_with("HTTP/1.1 200"));
        assert_eq!(unchunked(body).unwrap(), b"abcde");
        assert_eq!(unchunked(b"5\r\nabc"), None);
        assert_eq!(unchunked(b"ffffffffffffffff\r\nabc"), None);
        assert!(split(b"220 mail").is_none());
        assert_eq!(encoded("a{b=~\"c\"}"), "a%7Bb%3D~%22c%22%7D");
    }
}
