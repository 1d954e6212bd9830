//! `cargo xtask scenario NAME --metrics ADDRESS:PORT`: the counters of a run for Prometheus, while the run lasts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use perf_counters::prometheus::{self, Format};
use perf_counters::{Layout, Sample};
use scenario::run::CounterWatch;
use tiny_http::{Header, Method, Request, Response, Server};

/// Where the counters are.
const PATH: &str = "/metrics";
/// Answers under way at the same time; whoever asks beyond that is not answered with counters. Invented.
const MOST_ANSWERS: usize = 8;

/// The latest sample, and of what.
type Latest = Arc<Mutex<Option<(Layout, Sample)>>>;

/// Answers whoever asks for the counters, as long as this value lives.
pub(super) struct Endpoint {
    address: SocketAddr,
    server: Arc<Server>,
    latest: Latest,
}

impl Endpoint {
    /// Begins to listen.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let listening = TcpListener::bind(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((address, Server::from_listener(listener, None).map_err(io::Error::other)?))
        });
        let (address, server) = listening.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => anyhow!(
                "--metrics: {address} is in use by another program: choose another port; 0 takes one that is free"
            ),
            io::ErrorKind::PermissionDenied => {
                anyhow!("--metrics: this user may not listen at {address}: choose a port above 1023")
            }
            _ => anyhow!("--metrics: {address} cannot be listened at: {error}"),
        })?;
        let server = Arc::new(server);
        let latest = Latest::default();
        {
            let (server, latest) = (Arc::clone(&server), Arc::clone(&latest));
            let named = std::thread::Builder::new().name("metrics".to_owned());
            named.spawn(move || serve(&server, &latest)).context("--metrics: no thread can be started")?;
        }
        Ok(Self { address, server, latest })
    }

    /// Where the counters are.
    pub(super) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// What a run shows its counters to.
    pub(super) fn watch(&self) -> CounterWatch {
        let latest = Arc::clone(&self.latest);
        Box::new(move |layout, sample| {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *latest {
                // Without an allocation.
                Some((_, last)) => last.clone_from(sample),
                None => *latest = Some((layout.clone(), sample.clone())),
            }
        })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

/// Takes requests until it is told to end. Each is answered by a thread of its own: whoever reads slowly delays nobody else, and not the
/// end of the run either.
fn serve(server: &Server, latest: &Latest) {
    let under_way = Arc::new(AtomicUsize::new(0));
    while let Ok(request) = server.recv() {
        if under_way.load(Ordering::Acquire) >= MOST_ANSWERS {
            drop(request);
            continue;
        }
        under_way.fetch_add(1, Ordering::AcqRel);
        let (latest, counted) = (Arc::clone(latest), Arc::clone(&under_way));
        let answering = std::thread::Builder::new().spawn(move || {
            // Whoever has hung up gets no answer.
            let _gone: io::Result<()> = answer(request, &latest);
            counted.fetch_sub(1, Ordering::AcqRel);
        });
        if answering.is_err() {
            under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn answer(request: Request, latest: &Latest) -> io::Result<()> {
    let header = |name: &str, value: &str| Header::from_bytes(name, value).ok();
    if *request.method() != Method::Get {
        let allow = header("Allow", "GET").into_iter();
        let refused = Response::from_string("only GET is answered\n").with_status_code(405);
        return request.respond(allow.fold(refused, Response::with_header));
    }
    if request.url().split('?').next() != Some(PATH) {
        let elsewhere = format!("the counters of the run are at {PATH}\n");
        return request.respond(Response::from_string(elsewhere).with_status_code(404));
    }
    let accept = request.headers().iter().find(|header| header.field.equiv("Accept"));
    let format = Format::accepted(accept.map(|accept| accept.value.as_str()));
    let sample = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut text = Vec::new();
    match &sample {
        Some((layout, sample)) => prometheus::write(&mut text, layout, sample, format),
        // The run has not begun.
        None if format == Format::OpenMetrics => text.extend_from_slice(prometheus::END),
        None => {}
    }
    let content = header("Content-Type", format.content_type()).into_iter();
    request.respond(content.fold(Response::from_data(text), Response::with_header))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use perf_counters::{Epoch, Memory};

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
        let error = Endpoint::open(first.address).err().expect("two cannot listen at one port");
        assert_eq!(
            error.to_string(),
            format!(
                "--metrics: {} is in use by another program: choose another port; 0 takes one that is free",
                first.address
            )
        );
    }

    #[test]
    fn whoever_asks_and_says_nothing_more_keeps_nobody_waiting() {
        let endpoint = local();
        let silent: Vec<_> = (0..32).map(|_| TcpStream::connect(endpoint.address).unwrap()).collect();
        let answer = ask(&endpoint, "GET /metrics HTTP/1.1");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(silent);
    }
}
