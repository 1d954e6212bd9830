//! Connecting the recorder and the log to `tracing`.

use std::sync::OnceLock;

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber, level_filters::LevelFilter, span, subscriber::Interest,
};
use tracing_subscriber::{
    layer::{Context, Filter, Layer, SubscriberExt},
    registry::LookupSpan,
};

use crate::{human::HumanLog, recorder::Recorder};

/// Records events of a `tracing` registry. Needs its [`RecordFilter`] (`layer.with_filter(filter)`), so that it does not decide
/// for other layers what is enabled.
#[derive(Clone, Debug)]
pub struct RecordLayer {
    recorder: Recorder,
}

/// Lets pass what [`RecordLayer`] records.
#[derive(Clone, Debug)]
pub struct RecordFilter {
    recorder: Recorder,
}

/// A `tracing` subscriber that does nothing but record: the fastest way when there is no log. Spans are ignored.
#[derive(Clone, Debug)]
pub struct RecordSubscriber {
    recorder: Recorder,
}

impl Recorder {
    /// A layer that records to this recorder, with its filter.
    pub fn layer(&self) -> (RecordLayer, RecordFilter) {
        (RecordLayer { recorder: self.clone() }, RecordFilter { recorder: self.clone() })
    }

    /// A subscriber that records to this recorder.
    pub fn subscriber(&self) -> RecordSubscriber {
        RecordSubscriber { recorder: self.clone() }
    }

    fn level_filter(&self) -> LevelFilter {
        self.level().max_level().map_or(LevelFilter::OFF, |level: Level| level.into())
    }

    fn interest(&self, metadata: &Metadata<'_>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }
}

impl<S: Subscriber> Layer<S> for RecordLayer {
    fn on_event(&self, event: &Event<'_>, _ctx: Context<'_, S>) {
        self.recorder.record(event);
    }
}

impl<S> Filter<S> for RecordFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _ctx: &Context<'_, S>) -> bool {
        self.recorder.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.recorder.interest(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.recorder.level_filter())
    }
}

impl Subscriber for RecordSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.recorder.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.recorder.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.recorder.level_filter())
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.recorder.record(event);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// Keeps a second dispatcher registered beside that of a run. While there is but one, `tracing-core` asks the dispatcher of whichever
/// thread reaches a callsite first, and if that thread has none the callsite is switched off for all: a run would lose events to another,
/// unrecorded one beside it.
fn bystander() {
    static BYSTANDER: OnceLock<Dispatch> = OnceLock::new();
    BYSTANDER.get_or_init(|| Dispatch::new(Bystander));
}

/// Is no thread's dispatcher, and would record nothing.
struct Bystander;

impl Subscriber for Bystander {
    // What the others say decides.
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// A dispatcher for a run: records to `recorder`, logs to `log`, each if given. Make it the default of the thread that runs
/// the run (`tracing::dispatcher::with_default`), so that runs beside each other are kept apart.
pub fn dispatch(recorder: Option<&Recorder>, log: Option<HumanLog>) -> Dispatch {
    bystander();
    let recorder = recorder.filter(|recorder| recorder.level().max_level().is_some());
    match (recorder, log) {
        (None, None) => Dispatch::none(),
        (Some(recorder), None) => Dispatch::new(recorder.subscriber()),
        (None, Some(log)) => Dispatch::new(tracing_subscriber::registry().with(log_layer(log))),
        (Some(recorder), Some(log)) => {
            let (layer, filter) = recorder.layer();
            Dispatch::new(tracing_subscriber::registry().with(layer.with_filter(filter)).with(log_layer(log)))
        }
    }
}

fn log_layer<S: Subscriber + for<'a> LookupSpan<'a>>(log: HumanLog) -> impl Layer<S> {
    let (layer, filter) = log.into_parts();
    layer.with_filter(filter)
}
