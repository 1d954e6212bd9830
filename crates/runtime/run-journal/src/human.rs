//! The log that a person reads while a run goes on.

use core::fmt;
use std::io::Write;

use component_runtime::SimTime;
use parking_lot::Mutex;
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::layer::{Context, Layer};

use crate::{
    context,
    filter::{LogFilter, LogFilterError},
    output::Sink,
};

/// A log of one line for each event: virtual time, level, component and VM, what happened, fields.
pub struct HumanLog {
    layer: HumanLayer,
}

impl HumanLog {
    /// Logs to `out` what `filter` lets pass, in colour if asked. A filter is a level, or a list of levels and component=level:
    /// `warn,dm-vsp=debug,dm-vsc/VM8=debug`; the rule that names more counts.
    ///
    /// # Errors
    /// If `filter` is in no such form.
    pub fn new(out: Box<dyn Write + Send>, filter: &str, colour: bool) -> Result<Self, LogFilterError> {
        let filter = LogFilter::parse(filter)?;
        Ok(Self { layer: HumanLayer { colour, filter, state: Mutex::new(State { out, line: Vec::new() }) } })
    }

    /// Logs to standard error, in colour if it is a terminal, and by the usual rules: `NO_COLOR` (no-color.org) forbids colours,
    /// `CLICOLOR_FORCE` wants them anywhere, `CLICOLOR=0` nowhere (bixense.com/clicolors).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn stderr(filter: &str) -> Result<Self, LogFilterError> {
        use std::io::IsTerminal as _;
        let colour =
            terminal_text::wants_colour(|name| std::env::var_os(name), std::io::stderr().is_terminal());
        Self::new(Box::new(std::io::stderr()), filter, colour)
    }

    /// The components that the filter names, as they were written. Whether there are such, the log cannot know.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layer.filter.names()
    }

    /// The layer, and the most detailed level that it may show.
    pub(crate) fn into_parts(self) -> (HumanLayer, LevelFilter) {
        let most = self.layer.filter.most();
        (self.layer, most)
    }
}

impl fmt::Debug for HumanLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HumanLog").field("filter", &self.layer.filter).finish_non_exhaustive()
    }
}

/// The layer of a [`HumanLog`].
pub(crate) struct HumanLayer {
    colour: bool,
    filter: LogFilter,
    state: Mutex<State>,
}

struct State {
    out: Sink,
    line: Vec<u8>,
}

impl<S: Subscriber> Layer<S> for HumanLayer {
    fn on_event(&self, event: &Event<'_>, _ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut state = self.state.lock();
        let State { out, line } = &mut *state;
        line.clear();
        // Writing to memory does not fail, and a log that cannot be written must not stop the run.
        let _: std::io::Result<()> = context::with(|context| {
            let component = fields.component.as_deref().unwrap_or(context.component);
            let vm = fields.vm.as_deref().or(context.vm);
            if self.filter.passes(event.metadata(), component, vm) {
                self.format(line, event, context.now, component, vm, &fields)?;
            }
            Ok(())
        });
        let _: std::io::Result<()> = out.write_all(line);
    }
}

impl HumanLayer {
    fn format(
        &self,
        line: &mut Vec<u8>,
        event: &Event<'_>,
        now: SimTime,
        component: &str,
        vm: Option<&str>,
        fields: &Fields,
    ) -> std::io::Result<()> {
        let metadata = event.metadata();
        let (name, colour) = match *metadata.level() {
            Level::ERROR => ("ERROR", "31"),
            Level::WARN => (" WARN", "33"),
            Level::INFO => (" INFO", "32"),
            Level::DEBUG => ("DEBUG", "34"),
            Level::TRACE => ("TRACE", "35"),
        };
        let place = match vm {
            Some(vm) => format!("{component}/{vm}"),
            None => component.to_owned(),
        };
        // Names, marks and messages are what files and guests say: the terminal gets only their text.
        let place = terminal_text::escape(&place);
        write!(line, "{now:>14} ")?;
        self.paint(line, colour, name)?;
        write!(line, " {place:<22} ")?;
        let event = fields.event.as_deref().unwrap_or(metadata.target());
        self.paint(line, "1", &terminal_text::escape(event))?;
        if let Some(message) = &fields.message {
            write!(line, ": {}", terminal_text::escape(message))?;
        }
        for (name, value) in &fields.rest {
            self.paint(line, "2", &format!(" {name}="))?;
            write!(line, "{}", terminal_text::escape(value))?;
        }
        line.push(b'\n');
        Ok(())
    }

    fn paint(&self, line: &mut Vec<u8>, colour: &str, text: &str) -> std::io::Result<()> {
        if self.colour {
            write!(line, "\x1b[{colour}m{text}\x1b[0m")
        } else {
            line.write_all(text.as_bytes())
        }
    }
}

/// An event's fields as text.
#[derive(Default)]
struct Fields {
    event: Option<String>,
    vm: Option<String>,
    component: Option<String>,
    message: Option<String>,
    rest: Vec<(&'static str, String)>,
}

impl tracing::field::Visit for Fields {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "event" => self.event = Some(value.to_owned()),
            "vm" => self.vm = Some(value.to_owned()),
            "component" => self.component = Some(value.to_owned()),
            "message" => self.message = Some(value.to_owned()),
            name => self.rest.push((name, format!("{value:?}"))),
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "event" => self.event = Some(text),
            "vm" => self.vm = Some(text),
            "component" => self.component = Some(text),
            "message" => self.message = Some(text),
            name => self.rest.push((name, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buffer, dispatch};

    fn logged(filter: &str, colour: bool) -> String {
        let (out, buffer) = buffer();
        let log = HumanLog::new(out, filter, colour).unwrap();
        tracing::dispatcher::with_default(&dispatch(None, Some(log)), || {
            tracing::info!(event = "grant", vm = "VM8", pages = 512, reason = "pressure above band");
            tracing::debug!(event = "status_report", available = 12);
            tracing::warn!(size = %"3 pages", "odd {}", "thing");
        });
        String::from_utf8(buffer.contents()).unwrap()
    }

    #[test]
    fn a_line_says_when_where_and_what() {
        assert_eq!(
            logged("info", false),
            "            0s  INFO run/VM8                grant pages=512 reason=\"pressure above band\"\n\
             \u{20}           0s  WARN run                    run_journal::human::tests: odd thing size=3 pages\n"
        );
    }

    #[test]
    fn the_filter_decides() {
        assert_eq!(logged("debug", false).lines().count(), 3);
        assert_eq!(logged("warn", false).lines().count(), 1);
        assert_eq!(logged("info,run_journal=debug", false).lines().count(), 3);
        assert_eq!(logged("run/vm8=debug", false).lines().count(), 1);
        assert_eq!(logged("off", false), "");
    }

    #[test]
    fn colour_only_when_asked() {
        assert!(!logged("debug", false).contains('\x1b'));
        assert!(logged("debug", true).contains("\x1b[33m WARN\x1b[0m"));
    }

    /// A guest, a file or a person wrote it: it may not clear the screen or write the clipboard.
    #[test]
    fn sequences_in_fields_are_shown_and_not_obeyed() {
        const HOSTILE: &str = "\u{1b}]52;c;ZWNobyBwd25lZA==\u{7}\u{1b}[2J";
        let (out, buffer) = buffer();
        let log = HumanLog::new(out, "info", false).unwrap();
        tracing::dispatcher::with_default(&dispatch(None, Some(log)), || {
            tracing::info!(event = "mark", vm = HOSTILE, text = HOSTILE, why = %HOSTILE, "{HOSTILE}");
        });
        let line = String::from_utf8(buffer.contents()).unwrap();
        assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line:?}");
        assert_eq!(line.matches(r"\u001b]52;c;ZWNobyBwd25lZA==\u0007\u001b[2J").count(), 3, "{line}");
    }

    #[test]
    fn a_bad_filter_is_explained() {
        let (out, _) = buffer();
        let error = HumanLog::new(out, "dm_vsp=loud", false).unwrap_err().to_string();
        assert!(error.starts_with("\"dm_vsp=loud\" is not a log filter: "), "{error}");
        assert!(error.contains("write a level (off, error, warn, info, debug, trace)"), "{error}");
    }
}
