//! The counters of a run for Prometheus, while the run lasts.
//!
//! One page, one method, one answer for each connection: what that takes of HTTP/1.1 (RFC 9112) is here, with a bound on everything that
//! whoever connects decides.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::prometheus::{self, Format};
use crate::{Layout, Sample};

/// Where the counters are.
const PATH: &str = "/metrics";
/// Connections at the same time; further ones are closed at once. Invented.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may be silent, or not take what it is sent. Invented.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time until the next connection is waited for after one that could not be accepted. Invented.
const RETRY: Duration = Duration::from_millis(100);
/// Bytes of a request up to its empty line; Prometheus sends some 300. Invented.
const MOST_REQUEST: usize = 8192;
/// Pieces in which a request may come. Invented.
const MOST_PIECES: usize = 16;

/// The latest sample, and of what.
type Latest = Arc<Mutex<Option<(Layout, Sample)>>>;
/// Counts when somebody asks; `None`: there is nothing to count yet.
type Source = dyn Fn() -> Option<(Layout, Sample)> + Send + Sync;

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Another program listens there.
    #[error("{0} is in use by another program: choose another port; 0 takes one that is free")]
    InUse(SocketAddr),
    /// Ports up to 1023 are not for everybody.
    #[error("this user may not listen at {0}: choose a port above 1023")]
    NotAllowed(SocketAddr),
    /// Any other reason.
    #[error("{address} cannot be listened at: {cause}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The system has no more threads.
    #[error("no thread can be started: {0}")]
    NoThread(io::Error),
}

/// Answers whoever asks for the counters, as long as this value lives.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    latest: Latest,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Begins to listen. Whoever asks gets what was last shown to [`watch`](Self::watch).
    ///
    /// # Errors
    /// Nobody can listen there.
    pub fn open(address: SocketAddr) -> Result<Self, EndpointError> {
        let latest = Latest::default();
        let shown = Arc::clone(&latest);
        let source = move || shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self::listen(address, latest, Arc::new(source))
    }

    /// Begins to listen. Whoever asks gets what is counted then, so nothing need be counted while nobody does.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub fn open_counting(
        address: SocketAddr,
        count: impl Fn() -> Option<(Layout, Sample)> + Send + Sync + 'static,
    ) -> Result<Self, EndpointError> {
        Self::listen(address, Latest::default(), Arc::new(count))
    }

    fn listen(address: SocketAddr, latest: Latest, source: Arc<Source>) -> Result<Self, EndpointError> {
        let listening =
            TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = listening.map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => EndpointError::InUse(address),
            io::ErrorKind::PermissionDenied => EndpointError::NotAllowed(address),
            _ => EndpointError::Other { address, cause },
        })?;
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let over = Arc::clone(&over);
            let named = thread::Builder::new().name("metrics".to_owned());
            named.spawn(move || serve(&listener, &source, &over)).map_err(EndpointError::NoThread)?
        };
        Ok(Self { address, latest, over, thread: Some(thread) })
    }

    /// Where the counters are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// What a run shows its counters to.
    pub fn watch(&self) -> impl FnMut(&Layout, &Sample) + Send + 'static {
        let latest = Arc::clone(&self.latest);
        move |layout: &Layout, sample: &Sample| {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *latest {
                // Without an allocation.
                Some((of, last)) if of == layout => last.clone_from(sample),
                // The first, or one of other VMs.
                _ => *latest = Some((layout.clone(), sample.clone())),
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // The listener waits for a connection: this is the last.
        if TcpStream::connect_timeout(&self.address, PATIENCE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _panicked = thread.join();
        }
    }
}

/// Takes connections until it is over. Each is answered by a thread of its own: whoever is slow delays nobody else, and not the end of
/// the run either.
fn serve(listener: &TcpListener, source: &Arc<Source>, over: &AtomicBool) {
    let under_way = Arc::new(AtomicUsize::new(0));
    for connection in listener.incoming() {
        if over.load(Ordering::Acquire) {
            return;
        }
        let Ok(connection) = connection else {
            // Such as with too many files open: others may be closed by then.
            thread::park_timeout(RETRY);
            continue;
        };
        if under_way.load(Ordering::Acquire) >= MOST_CONNECTIONS {
            continue;
        }
        under_way.fetch_add(1, Ordering::AcqRel);
        let (source, counted) = (Arc::clone(source), Arc::clone(&under_way));
        let answering = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            // Whoever has hung up gets no answer.
            let _gone: io::Result<()> = attend(connection, &*source);
            counted.fetch_sub(1, Ordering::AcqRel);
        });
        if answering.is_err() {
            under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Hears one request and answers it.
fn attend(mut connection: TcpStream, source: &Source) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let answer = match hear(&mut connection)? {
        Some(request) => answer(&request, source),
        None => Answer::words("400 Bad Request", "this is no request of HTTP"),
    };
    connection.write_all(&answer.bytes())?;
    connection.shutdown(std::net::Shutdown::Write)?;
    // What is still under way is taken, since a connection that is closed before would take the answer along.
    let mut rest = [0; MOST_REQUEST];
    for _ in 0..MOST_PIECES {
        if connection.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

/// A request up to its empty line; `None` if it does not come to an end.
fn hear(connection: &mut TcpStream) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut piece = [0; MOST_REQUEST];
    for _ in 0..MOST_PIECES {
        let read = connection.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(String::from_utf8(bytes[..end].to_vec()).ok());
        }
        if read == 0 || bytes.len() > MOST_REQUEST {
            break;
        }
    }
    Ok(None)
}

/// What is answered.
struct Answer {
    status: &'static str,
    content_type: &'static str,
    /// Further header lines.
    more: &'static str,
    body: Vec<u8>,
}

impl Answer {
    /// A sentence.
    fn words(status: &'static str, words: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            more: "",
            body: format!("{words}\n").into(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, content_type, more, body } = self;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}

fn answer(request: &str, source: &Source) -> Answer {
    let mut lines = request.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = first[..] else {
        return Answer::words("400 Bad Request", "this is no request of HTTP");
    };
    if !version.starts_with("HTTP/1.") {
        return Answer::words("505 HTTP Version Not Supported", "HTTP/1.1 is spoken here");
    }
    if method != "GET" {
        let refused = Answer::words("405 Method Not Allowed", "only GET is answered");
        return Answer { more: "Allow: GET\r\n", ..refused };
    }
    if target.split('?').next() != Some(PATH) {
        return Answer::words("404 Not Found", &format!("the counters of the run are at {PATH}"));
    }
    let accept =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let format = Format::accepted(accept.map(|(_, value)| value));
    let mut body = Vec::new();
    match source() {
        Some((layout, sample)) => prometheus::write(&mut body, &layout, &sample, format),
        // The run has not begun.
        None if format == Format::OpenMetrics => body.extend_from_slice(prometheus::END),
        None => {}
    }
    Answer { status: "200 OK", content_type: format.content_type(), more: "", body }
}

#[cfg(test)]
mod tests {
    use crate::{Epoch, Memory};

    use super::*;

    fn local() -> Endpoint {
        Endpoint::open("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    /// The whole answer to a request.
    fn ask(endpoint: &Endpoint, request: &str) -> String {
        let mut stream = TcpStream::connect(endpoint.address).unwrap();
        write!(stream, "{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn show(endpoint: &Endpoint, mib: u64) {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.parent.available = Some(Memory::from_mib(mib));
        sample.vms[0].vm.memory_add_operations = Some(3);
        let mut watch = endpoint.watch();
        watch(&layout, &Sample::new(&layout));
        watch(&layout, &sample);
    }

    #[test]
    fn the_latest_sample_is_served_in_the_form_that_is_asked_for() {
        let endpoint = local();
        let before = ask(&endpoint, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text");
        assert!(before.starts_with("HTTP/1.1 200 ") && before.ends_with("\r\n\r\n# EOF\n"), "{before}");
        show(&endpoint, 100);
        let text = ask(&endpoint, "GET /metrics HTTP/1.1");
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("text/plain; version=0.0.4"), "{text}");
        assert!(text.contains("\nwindows_memory_available_bytes 104857600\n"), "{text}");
        show(&endpoint, 200);
        let open =
            ask(&endpoint, "GET /metrics?x=1 HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0");
        assert!(open.contains("application/openmetrics-text; version=1.0.0"), "{open}");
        assert!(open.contains("\nwindows_memory_available_bytes 209715200\n"), "{open}");
        assert!(open.ends_with("add_operations_total{vm=\"VM1\"} 3\n# EOF\n"), "{open}");
    }

    #[test]
    fn what_counts_when_it_is_asked_for_counts_no_other_time() {
        let counted = Arc::new(AtomicUsize::new(0));
        let count = {
            let counted = Arc::clone(&counted);
            move || {
                let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
                let mut sample = Sample::new(&layout);
                let now = counted.fetch_add(1, Ordering::AcqRel) + 1;
                sample.parent.available = Some(Memory::from_mib(now as u64));
                Some((layout, sample))
            }
        };
        let endpoint = Endpoint::open_counting("127.0.0.1:0".parse().unwrap(), count).unwrap();
        for mib in [1, 2] {
            let text = ask(&endpoint, "GET /metrics HTTP/1.1");
            assert!(text.contains(&format!("_available_bytes {}\n", mib << 20)), "{text}");
        }
        ask(&endpoint, "GET / HTTP/1.1");
        assert_eq!(counted.load(Ordering::Acquire), 2);
    }

    #[test]
    fn nothing_but_get_is_answered_and_nothing_else_is_there() {
        let endpoint = local();
        for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "ANYTHING"] {
            let answer = ask(&endpoint, &format!("{method} /metrics HTTP/1.1\r\nContent-Length: 0"));
            assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("Allow: GET"), "{answer}");
        }
        for path in ["/", "/metrics/", "/../metrics", "/counters.csv"] {
            let answer = ask(&endpoint, &format!("GET {path} HTTP/1.1"));
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
    }

    #[test]
    fn a_port_in_use_is_said() {
        let first = local();
        let error = Endpoint::open(first.address).map(drop).expect_err("two cannot listen at one port");
        assert_eq!(
            error.to_string(),
            format!(
                "{} is in use by another program: choose another port; 0 takes one that is free",
                first.address
            )
        );
    }

    #[test]
    fn whoever_asks_and_says_nothing_more_keeps_nobody_waiting() {
        let endpoint = local();
        let silent: Vec<_> =
            (0..MOST_CONNECTIONS / 2).map(|_| TcpStream::connect(endpoint.address).unwrap()).collect();
        let answer = ask(&endpoint, "GET /metrics HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(silent);
    }

    #[test]
    fn what_is_no_request_is_told_so() {
        let endpoint = local();
        for nonsense in [
            "",
            "GET",
            "GET /metrics",
            "\u{16}\u{3}\u{1} \u{0}",
            "GET /metrics FTP/1",
            "get  /metrics HTTP/1.1",
        ] {
            let answer = ask(&endpoint, nonsense);
            assert!(
                answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 505 "),
                "{nonsense:?}: {answer}"
            );
        }
        let endless = "x".repeat(4 * MOST_REQUEST);
        let mut stream = TcpStream::connect(endpoint.address).unwrap();
        stream.write_all(endless.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }

    #[test]
    fn whoever_is_too_many_is_sent_away_and_the_end_is_not_delayed() {
        let endpoint = local();
        let silent: Vec<_> =
            (0..2 * MOST_CONNECTIONS).map(|_| TcpStream::connect(endpoint.address).unwrap()).collect();
        let address = endpoint.address;
        drop(endpoint);
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
        drop(silent);
    }
}
