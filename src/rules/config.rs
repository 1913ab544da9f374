//! `MeshConfig`: the mesh-wide settings; there is one, named `default`.
//!
//! What is left out keeps its default, see [`MeshConfig::default`].

use std::time::Duration;

use crate::mesh::MeshConfig;
use crate::resource::{MtlsMode, OutboundMode};
use crate::rules::at::{At, Shape};
use crate::rules::document::Meta;
use crate::rules::problems::Problems;
use crate::rules::values;

/// The only name.
pub(super) const NAME: &str = "default";

/// A leaf is renewed at half of its life, which must leave time for a few attempts.
const SHORTEST_LIFE: Duration = Duration::from_secs(10);
/// What the authority issues at most: there is no revocation.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);

const SPEC: Shape = Shape {
    known: &["mtls", "tracing", "certificates", "outbound"],
    later: &["overrides", "telemetry", "accessLog", "normalization"],
};
const TRACING: Shape = Shape { known: &["sampling"], later: &["overrides"] };
const CERTIFICATES: Shape = Shape { known: &["lifetime"], later: &[] };

/// Reads the `spec` of the settings.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<MeshConfig> {
    let mut config = MeshConfig { generation: meta.generation, ..MeshConfig::default() };
    let fields = spec.fields(problems, &SPEC)?;
    if let Some(at) = fields.get("mtls") {
        let words = MtlsMode::ALL.map(|mode| (mode.as_str(), mode));
        config.mtls = at.word(problems, &words, &[]).unwrap_or_default();
    }
    if let Some(at) = fields.get("outbound") {
        let words = OutboundMode::ALL.map(|mode| (mode.as_str(), mode));
        config.outbound = at.word(problems, &words, &[]).unwrap_or_default();
    }
    if let Some(at) = fields.get("tracing") {
        let sampling = at.fields(problems, &TRACING).and_then(|f| f.get("sampling"));
        if let Some(parts) = sampling.and_then(|at| values::parts_per_million(&at, problems)) {
            config.sampling_ppm = parts;
        }
    }
    if let Some(at) = fields.get("certificates") {
        let lifetime = at.fields(problems, &CERTIFICATES).and_then(|f| f.get("lifetime"));
        let life = lifetime
            .and_then(|at| values::duration_within(&at, problems, SHORTEST_LIFE, LONGEST_LIFE));
        config.certificate_lifetime = life.unwrap_or(config.certificate_lifetime);
    }
    Some(config)
}
