//! Where a recording is written: whole entries, when there are enough of them or when a second is over.

use std::{
    io::{self, Write},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;

use crate::packed::{self, Form};

/// Where the bytes go.
pub(crate) type Sink = Box<dyn Write + Send>;

/// So many bytes are collected before a file is written to.
const ENOUGH: usize = 1 << 18;

/// What a recording that is killed may lack at the most, as time: the time between two writes.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// A sink, and the entries that it has not been given yet. The sink is given whole entries only.
pub(crate) struct Output {
    sink: Sink,
    buffer: Vec<u8>,
    enough: usize,
    form: Form,
}

impl Output {
    /// Collects entries: for files.
    pub(crate) fn buffered(sink: Sink, form: Form) -> Self {
        Self { sink, buffer: Vec::with_capacity(ENOUGH + (ENOUGH >> 2)), enough: ENOUGH, form }
    }

    /// Gives each entry to the sink at once.
    pub(crate) fn direct(sink: Sink) -> Self {
        Self { sink, buffer: Vec::new(), enough: 0, form: Form::Plain }
    }

    /// Where to append an entry; [`entry_ends`](Self::entry_ends) has to follow.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// An entry is complete.
    pub(crate) fn entry_ends(&mut self) -> io::Result<()> {
        if self.buffer.len() >= self.enough { self.write_out() } else { Ok(()) }
    }

    /// Writes out what there is, as far as the sink goes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.sink.flush()
    }

    /// A second is over: writes out what there is, if that does not depend on how fast the machine is. Where a frame of a packed file ends
    /// would, and the same run leaves the same bytes.
    pub(crate) fn flush_in_time(&mut self) -> io::Result<()> {
        match self.form {
            Form::Plain => self.flush(),
            Form::Packed => Ok(()),
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = match self.form {
            _ if self.buffer.is_empty() => return Ok(()),
            Form::Plain => self.sink.write_all(&self.buffer),
            Form::Packed => packed::frame(&self.buffer).and_then(|frame| self.sink.write_all(&frame)),
        };
        self.buffer.clear();
        written
    }
}

/// A thread that flushes what is recorded once a second, while this value lives. The thread holds the lock of a recording for
/// one write, and has no part in what is recorded.
pub(crate) struct Flusher {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread. `None` if the system gives none: files are then written only when there is enough for them.
    pub(crate) fn start<T: Send + 'static>(state: &Arc<Mutex<T>>, flush: fn(&mut T)) -> Option<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (state, over) = (Arc::downgrade(state), over.clone());
            thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || flush_on(&state, flush, &over))
                .ok()?
        };
        Some(Self { over, thread: Some(thread) })
    }
}

fn flush_on<T>(state: &Weak<Mutex<T>>, flush: fn(&mut T), over: &AtomicBool) {
    loop {
        thread::park_timeout(FLUSH_EVERY);
        if over.load(Ordering::Acquire) {
            return;
        }
        let Some(state) = state.upgrade() else { return };
        flush(&mut state.lock());
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Not waited for where the thread itself drops the last of a recording.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
