//! `--effect`: what rules would change in what proxies do, as the control plane works it out.

use crate::cli::apply::source;
use crate::cli::client::Client;
use crate::cli::describe;
use crate::cli::exit::Failure;
use crate::cli::input::Input;
use crate::control::api::shapes::{
    Description, EFFECT, Effect, EffectRequest, EffectResult, ObjectId, Section,
};
use crate::names::Namespace;

/// Asks the control plane.
pub(super) fn ask(
    client: &Client,
    input: &Input,
    (namespace, prune): (&Namespace, Vec<ObjectId>),
) -> Result<Vec<Effect>, Failure> {
    let sources = input.documents.iter().map(source).collect();
    let request = EffectRequest { sources, namespace: namespace.to_string(), prune };
    let result: EffectResult = client.post(EFFECT, &request)?;
    Ok(result.effects)
}

/// The differences for people, by service and port.
pub(super) fn told(effects: &[Effect]) -> String {
    if effects.is_empty() {
        return "nothing that proxies do would change".to_owned();
    }
    let mut sections: Vec<Section> = Vec::new();
    for effect in effects {
        let heading = heading(effect);
        let requests = match effect.requests.as_str() {
            "" => "all requests",
            some => some,
        };
        let text = format!("{}: {} -> {}", effect.what, effect.before, effect.after);
        let line = (requests.to_owned(), text);
        match sections.last_mut() {
            Some(last) if last.heading == heading => last.lines.push(line),
            _ => sections.push(Section { heading, lines: vec![line] }),
        }
    }
    let title = "What proxies would do otherwise".to_owned();
    describe::text(&Description { title, sections }).trim_end().to_owned()
}

/// `default/reviews port 80, for callers of shop`
fn heading(effect: &Effect) -> String {
    let mut text = match effect.service.as_str() {
        "" => "the mesh".to_owned(),
        service => service.to_owned(),
    };
    if let Some(port) = effect.port {
        text += &format!(" port {port}");
    }
    if let Some(consumer) = &effect.consumer {
        text += &format!(", for callers of {consumer}");
    }
    text
}
