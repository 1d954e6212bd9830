//! The messages of Perfetto's trace format that are needed here.
//!
//! Numbers and meanings: `protos/perfetto/trace/trace_packet.proto`, `track_event/*.proto` of
//! <https://github.com/google/perfetto> (documented), and its guide "Converting arbitrary timestamped data to Perfetto".

/// `TrackEvent.Type`: a slice begins.
pub const SLICE_BEGIN: i32 = 1;
/// `TrackEvent.Type`: the slice that began last on the track ends.
pub const SLICE_END: i32 = 2;
/// `TrackEvent.Type`: an instant.
pub const INSTANT: i32 = 3;
/// `TrackEvent.Type`: a counter's value.
pub const COUNTER: i32 = 4;

/// `CounterDescriptor.Unit`: a number of things.
pub const UNIT_COUNT: i32 = 2;
/// `CounterDescriptor.Unit`: bytes.
pub const UNIT_SIZE_BYTES: i32 = 3;

/// A whole trace. Written packet by packet; whole for tests.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Trace {
    /// Its packets.
    #[prost(message, repeated, tag = "1")]
    pub packet: Vec<TracePacket>,
}

/// One packet.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TracePacket {
    /// Nanoseconds.
    #[prost(uint64, optional, tag = "8")]
    pub timestamp: Option<u64>,
    /// Which sequence of packets it is of.
    #[prost(uint32, optional, tag = "10")]
    pub trusted_packet_sequence_id: Option<u32>,
    /// Something that happened on a track.
    #[prost(message, optional, tag = "11")]
    pub track_event: Option<TrackEvent>,
    /// A track.
    #[prost(message, optional, tag = "60")]
    pub track_descriptor: Option<TrackDescriptor>,
}

/// A track.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackDescriptor {
    /// Its number in the trace.
    #[prost(uint64, optional, tag = "1")]
    pub uuid: Option<u64>,
    /// Its name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    /// It is that of a process.
    #[prost(message, optional, tag = "3")]
    pub process: Option<ProcessDescriptor>,
    /// It is that of a thread.
    #[prost(message, optional, tag = "4")]
    pub thread: Option<ThreadDescriptor>,
    /// The track that it belongs to.
    #[prost(uint64, optional, tag = "5")]
    pub parent_uuid: Option<u64>,
    /// It is a counter.
    #[prost(message, optional, tag = "8")]
    pub counter: Option<CounterDescriptor>,
    /// What it shows.
    #[prost(string, optional, tag = "14")]
    pub description: Option<String>,
}

/// A process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessDescriptor {
    /// Its number.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Its name.
    #[prost(string, optional, tag = "6")]
    pub process_name: Option<String>,
}

/// A thread.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ThreadDescriptor {
    /// Number of its process.
    #[prost(int32, optional, tag = "1")]
    pub pid: Option<i32>,
    /// Its number.
    #[prost(int32, optional, tag = "2")]
    pub tid: Option<i32>,
    /// Its name.
    #[prost(string, optional, tag = "5")]
    pub thread_name: Option<String>,
}

/// A counter.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CounterDescriptor {
    /// A unit that Perfetto knows.
    #[prost(int32, optional, tag = "3")]
    pub unit: Option<i32>,
    /// Another unit.
    #[prost(string, optional, tag = "6")]
    pub unit_name: Option<String>,
    /// Counters of one process with the same key share an axis.
    #[prost(string, optional, tag = "7")]
    pub y_axis_share_key: Option<String>,
}

/// Something that happened on a track.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TrackEvent {
    /// Its fields.
    #[prost(message, repeated, tag = "4")]
    pub debug_annotations: Vec<DebugAnnotation>,
    /// One of [`SLICE_BEGIN`], [`SLICE_END`], [`INSTANT`], [`COUNTER`].
    #[prost(int32, optional, tag = "9")]
    pub r#type: Option<i32>,
    /// The track.
    #[prost(uint64, optional, tag = "11")]
    pub track_uuid: Option<u64>,
    /// What kind it is.
    #[prost(string, repeated, tag = "22")]
    pub categories: Vec<String>,
    /// Its name.
    #[prost(string, optional, tag = "23")]
    pub name: Option<String>,
    /// The value of a counter.
    #[prost(double, optional, tag = "44")]
    pub double_counter_value: Option<f64>,
    /// Flows that begin here, or go through here.
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    pub flow_ids: Vec<u64>,
    /// Flows that end here.
    #[prost(fixed64, repeated, packed = "false", tag = "48")]
    pub terminating_flow_ids: Vec<u64>,
    /// What belongs together without one leading to the other: an operation.
    #[prost(uint64, optional, tag = "52")]
    pub correlation_id: Option<u64>,
}

/// A field of an event.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DebugAnnotation {
    /// Its value.
    #[prost(bool, optional, tag = "2")]
    pub bool_value: Option<bool>,
    /// Its value.
    #[prost(uint64, optional, tag = "3")]
    pub uint_value: Option<u64>,
    /// Its value.
    #[prost(int64, optional, tag = "4")]
    pub int_value: Option<i64>,
    /// Its value.
    #[prost(double, optional, tag = "5")]
    pub double_value: Option<f64>,
    /// Its value.
    #[prost(string, optional, tag = "6")]
    pub string_value: Option<String>,
    /// Its name.
    #[prost(string, optional, tag = "10")]
    pub name: Option<String>,
}
