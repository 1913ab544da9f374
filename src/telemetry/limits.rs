//! The one table of limits: what is bounded, how much it may be, and what happens beyond.
//!
//! Constants in the code take their value from here. What was refused or dropped at a limit is
//! counted under its word, in `proxy stats` and in metrics; where a sender only waits, or the oldest
//! makes way, nothing is lost and nothing counted. Documented in `docs/reference/limits.md`, which a
//! test holds against this file.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where a limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// In a proxy.
    Proxy,
    /// In the control plane.
    ControlPlane,
    /// In both.
    Both,
}

/// Declares the limits: variant, word, how many of what (0: worked out, as the unit says), where,
/// whether it is counted, what happens beyond.
macro_rules! limits {
    ($($variant:ident, $word:literal, $most:expr, $unit:literal, $part:ident, $counted:ident,
       $beyond:literal;)*) => {
        /// What is bounded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Limit {
            $(#[doc = $beyond] $variant,)*
        }

        impl Limit {
            /// Every limit.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// How many; 0 where [`Limit::unit`] says how it is worked out.
            pub const fn most(self) -> usize {
                match self { $(Self::$variant => $most,)* }
            }

            /// Of what.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)* }
            }

            /// Where it holds.
            pub const fn part(self) -> Part {
                match self { $(Self::$variant => Part::$part,)* }
            }

            /// Whether it is counted that it was reached.
            pub const fn is_counted(self) -> bool {
                match self { $(Self::$variant => $counted,)* }
            }

            /// What happens beyond it, for people.
            pub const fn beyond(self) -> &'static str {
                match self { $(Self::$variant => $beyond,)* }
            }
        }
    };
}

/// It is counted: something was refused, dropped or cut.
const COUNTED: bool = true;

/// It is not: a sender waits, or the oldest makes way.
const WAITS: bool = false;

limits! {
    Connections, "connections", 0, "of descriptors: half of the limit less the reserve (proxy), the limit less the reserve (control plane), of proxies a quarter from one address that is not loopback", Both, COUNTED, "a new connection is closed at once";
    Memory, "memory", 0, "the limit of the control group, or `--memory-limit`", Proxy, COUNTED, "503 `overloaded`, see below";
    Descriptors, "descriptors", 0, "the hard limit of the process", Both, COUNTED, "accepting pauses for at most 250 ms; idle connections to endpoints are closed";
    HandshakeTime, "handshake_time", 10, "seconds", Both, COUNTED, "the connection is closed";
    Http1Head, "http1_head", 60 * 1024, "bytes; 3 KiB more between sidecars, for what these add", Proxy, COUNTED, "431 `head_too_large`, and the connection is closed";
    HttpFields, "http_fields", 100, "fields of a head; 72 more between sidecars, for what these add", Proxy, COUNTED, "431 `head_too_large`";
    Http2Head, "http2_head", 16 * 1024, "bytes; 3 KiB more between sidecars, for what these add", Proxy, WAITS, "431, by the protocol library";
    HeadTime, "head_time", 10, "seconds from the first byte of a head", Proxy, COUNTED, "408 `head_timeout`, and the connection is closed";
    InterimAnswers, "interim_answers", 32, "interim answers to a request", Proxy, COUNTED, "502 `upstream_protocol`";
    Http2Resets, "http2_resets", 500, "streams given up by the client, and 50 more each second", Proxy, COUNTED, "the connection ends with ENHANCE_YOUR_CALM";
    Http2Floods, "http2_floods", 10_000, "frames that bring nothing, 1,000 more each second, and one for every 4 bytes sent; and the budgets of the protocol library", Proxy, COUNTED, "the connection ends with ENHANCE_YOUR_CALM";
    Http2Streams, "http2_streams", 100, "streams of a connection", Proxy, WAITS, "a further stream is refused unread (REFUSED_STREAM)";
    Http2StreamWindow, "http2_stream_window", 256 * 1024, "bytes of a stream that nobody has taken", Proxy, WAITS, "the sender waits";
    Http2Window, "http2_window", 1024 * 1024, "bytes of a connection that nobody has taken", Proxy, WAITS, "the sender waits";
    Http2SendBuffer, "http2_send_buffer", 64 * 1024, "bytes of a stream that are not written yet", Proxy, WAITS, "the other side is not read";
    ReadBuffer, "read_buffer", 64 * 1024, "bytes of a connection", Proxy, WAITS, "the sender waits";
    SendAhead, "send_ahead", 32 * 1024, "bytes that a client sends before its answer", Proxy, WAITS, "the client waits";
    PendingRequests, "pending_config", 64, "requests that wait for one name", Proxy, COUNTED, "503 `config_pending` at once";
    KnownNames, "known_names", 8_192, "names that this proxy asks for", Proxy, COUNTED, "503 `config_pending`";
    KnownAddresses, "known_addresses", 1_024, "addresses that this proxy asks for, and as many of workloads", Proxy, WAITS, "the one that was not used for longest makes way";
    CachedTargets, "cached_targets", 1_024, "entries of each cache of one worker", Proxy, COUNTED, "the cache starts anew";
    IdleConnections, "idle_connections", 256, "to one endpoint, of one worker", Proxy, COUNTED, "a connection is closed instead of kept";
    Http2Connections, "http2_connections", 64, "to one endpoint, of one worker", Proxy, COUNTED, "503 `overloaded`";
    ResolvedNames, "resolved_names", 1_024, "names outside of the mesh", Proxy, WAITS, "the one that was not used for longest makes way";
    Lookups, "lookups", 32, "questions to the resolver at once", Proxy, COUNTED, "a further one fails as if nobody answered";
    ProbeConnections, "probe_connections", 128, "connections, a quarter of them from one address", Proxy, COUNTED, "a new one is closed";
    TakeOvers, "take_overs", 1, "newer process that gets ready to take over; a message between the two has 64 KiB and 200 descriptors", Proxy, WAITS, "a further one is refused";
    Edges, "edges", 2_000, "pairs of caller and called, of one worker", Proxy, COUNTED, "further ones are counted as `other`";
    Strangers, "strangers", 100, "callers without an identity, of one worker", Proxy, COUNTED, "further ones are counted together";
    Faults, "fault_counters", 1_000, "counters of fault policies", Proxy, COUNTED, "further ones are counted together";
    Spans, "spans", 4_096, "that wait to be sent", Proxy, COUNTED, "further ones are dropped";
    LogLines, "log_lines", 1_024, "that wait to be written", Proxy, COUNTED, "further ones are dropped";
    Handshakes, "handshakes", 512, "at once on one port; off loopback a quarter of them with one address", ControlPlane, COUNTED, "one more from that address is closed; others wait in the kernel";
    JoiningConnections, "joining_connections", 256, "without a certificate, a quarter of them from one address", ControlPlane, COUNTED, "a new one is closed";
    ApiConnections, "api_connections", 256, "on one port, a quarter of them from one address", ControlPlane, COUNTED, "one more from that address is closed; others wait";
    ApiBody, "api_body", 160 * 1024 * 1024, "bytes of a request", ControlPlane, COUNTED, "413";
    Joins, "join_failures", 20, "refused signatures, or tokens for the admin API, from one address in 30 s", ControlPlane, COUNTED, "further requests from there are refused unread";
    SigningRequest, "signing_request", 16 * 1024, "bytes", ControlPlane, COUNTED, "INVALID_ARGUMENT";
    Proxies, "proxies", 20_000, "registered", ControlPlane, COUNTED, "RESOURCE_EXHAUSTED";
    SubscribedNames, "subscribed_names", 40_000, "of one proxy", ControlPlane, COUNTED, "RESOURCE_EXHAUSTED";
    Commands, "commands", 32, "to one proxy that wait for an answer", ControlPlane, COUNTED, "a further one is refused";
    IntakeEdges, "intake_edges", 4_096, "pairs of caller and called, half of them told by one proxy", ControlPlane, COUNTED, "those that are quiet make way; further ones are counted together";
    Traces, "traces", 2_000, "and 20,000 spans of together 16 MiB", ControlPlane, WAITS, "the oldest are forgotten";
    Pools, "pools", 1_000, "that one proxy may say something about", ControlPlane, COUNTED, "what is beyond is left out";
}

/// How often each limit was reached; the counters only grow.
#[derive(Debug)]
pub struct LimitCounts([AtomicU64; Limit::ALL.len()]);

impl Default for LimitCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl LimitCounts {
    /// A limit was reached.
    pub fn hit(&self, limit: Limit) {
        self.add(limit, 1);
    }

    /// A limit was reached so many times.
    pub fn add(&self, limit: Limit, times: u64) {
        if let Some(counter) = self.0.get(limit as usize) {
            counter.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// How often a limit was reached.
    pub fn of(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// The limits that were reached, and how often.
    pub fn totals(&self) -> Vec<(Limit, u64)> {
        let counted = Limit::ALL.iter().map(|limit| (*limit, self.of(*limit)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}
