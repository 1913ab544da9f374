//! One service with 5,000 endpoints: how long a choice takes for each algorithm, and how long an
//! update in which one endpoint comes, goes or weighs another.
//!
//! Prints a table; it judges nothing. An update counts from the bytes of the whole resource until
//! requests use it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use meshctl::names::Protocol;
use meshctl::proxy::balance::{Wish, pick};
use meshctl::proxy::cluster::ClusterCell;
use meshctl::resource::{
    Algorithm, Cluster, ClusterPolicy, ClusterPort, Endpoint, Locality, PortMapping, Resource,
};
use meshctl::xds::codec::{self, Decoder, Encoded};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENDPOINTS: usize = 5_000;
const PICKS: u64 = 200_000;
const ROUNDS: usize = 21;
const UPDATES: usize = 200;

fn main() -> anyhow::Result<()> {
    row(&[
        "algorithm",
        "weights",
        "choice ns",
        "zone ns",
        "retry ns",
        "decode µs",
        "apply µs",
        "in use after µs",
        "p95",
    ]);
    row(&["---"; 9]);
    for algorithm in Algorithm::ALL {
        for weighted in [false, true] {
            let [choice, zone, retry] = choices(algorithm, weighted)?;
            let [decode, apply, p50, p95] = updates(algorithm, weighted)?;
            let weights = if weighted { "1 to 10" } else { "equal" };
            let figures = [choice, zone, retry, decode, apply, p50, p95];
            let figures = figures.map(|value| format!("{value:.0}"));
            let [choice, zone, retry, decode, apply, p50, p95] = figures.each_ref().map(|it| &**it);
            row(&[algorithm.as_str(), weights, choice, zone, retry, decode, apply, p50, p95]);
        }
    }
    decoding()
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

fn wire(algorithm: Algorithm, weighted: bool, numbers: impl Iterator<Item = usize>) -> Cluster {
    let endpoint = |number: usize| {
        Some(Endpoint {
            workload: format!("checkout-7c9d8b6f5-{number:05}").parse().ok()?,
            addresses: vec![format!("10.{}.{}.7", number / 250, number % 250).parse().ok()?],
            ports: vec![PortMapping { service_port: 80, target_port: 8080 }],
            identity: "spiffe://cluster.local/ns/shop/sa/checkout".parse().ok(),
            version: "v1".into(),
            weight: if weighted { 1 + number as u32 % 10 } else { 1 },
            zone: format!("europe-{}", number % 3),
        })
    };
    let mut policy = ClusterPolicy::default();
    policy.load_balancer.algorithm = algorithm;
    Cluster {
        name: "shop/checkout".parse().expect("a constant name"),
        ports: vec![ClusterPort { port: 80, protocol: Protocol::Http }],
        policy,
        endpoints: numbers.filter_map(endpoint).map(Arc::new).collect(),
    }
}

/// Nanoseconds of a choice: plain, with zones, and of the second try.
fn choices(algorithm: Algorithm, weighted: bool) -> anyhow::Result<[f64; 3]> {
    let cell = ClusterCell::new("shop/checkout".parse()?);
    let mut wire = wire(algorithm, weighted, 0..ENDPOINTS);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut measure = |cell: &ClusterCell, tries: u32| -> anyhow::Result<f64> {
        let cluster = cell.load().ok_or_else(|| anyhow::anyhow!("applied"))?;
        let port = cluster.port(80).ok_or_else(|| anyhow::anyhow!("there is one"))?;
        let mut tried = [0];
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..PICKS {
                let avoid = tried.get(..tries as usize).unwrap_or_default();
                let wish = Wish { avoid, hash: Some(rng.u64(..)) };
                let found = black_box(pick(port, &wish, rng.u64(..)));
                tried = [found.map_or(0, |endpoint| endpoint.id)];
            }
            times.push(begun.elapsed().as_nanos() as f64 / PICKS as f64);
        }
        Ok(quantiles(&mut times).0)
    };
    cell.apply(&wire, "", 0);
    let (plain, retry) = (measure(&cell, 0)?, measure(&cell, 1)?);
    wire.policy.load_balancer.locality = Locality::Prefer;
    cell.apply(&wire, "europe-1", 0);
    Ok([plain, measure(&cell, 0)?, retry])
}

/// Microseconds of an update of one endpoint, from the bytes until it is in use: decoding, applying,
/// and both together, of which 95 of a hundred take no longer than the last.
fn updates(algorithm: Algorithm, weighted: bool) -> anyhow::Result<[f64; 4]> {
    let cell = ClusterCell::new("shop/checkout".parse()?);
    let mut decoder = Decoder::default();
    let [mut decoding, mut applying, mut all] = [const { Vec::new() }; 3];
    for round in 0..=UPDATES {
        let victim = (round * 37) % ENDPOINTS;
        let mut next = wire(algorithm, weighted, 0..ENDPOINTS);
        match round % 4 {
            1 => drop(next.endpoints.remove(victim)),
            3 => {
                next.endpoints
                    .get_mut(victim)
                    .into_iter()
                    .for_each(|e| Arc::make_mut(e).weight += 1);
            }
            _ => {}
        }
        let Encoded { key, body, .. } = codec::encode(&Resource::Cluster(next));
        let begun = Instant::now();
        let decoded = decoder.decode(key.kind, &key.name, body)?;
        let decoded_in = begun.elapsed();
        let Resource::Cluster(cluster) = decoded else { anyhow::bail!("a cluster") };
        cell.apply(&cluster, "", 0);
        let done_in = begun.elapsed();
        // The first is no update.
        if round > 0 {
            decoding.push(decoded_in.as_secs_f64() * 1e6);
            applying.push((done_in - decoded_in).as_secs_f64() * 1e6);
            all.push(done_in.as_secs_f64() * 1e6);
        }
    }
    let (p50, p95) = quantiles(&mut all);
    Ok([quantiles(&mut decoding).0, quantiles(&mut applying).0, p50, p95])
}

/// Bytes to a resource of which nothing is known, and back.
fn decoding() -> anyhow::Result<()> {
    let cluster = wire(Algorithm::LeastRequest, false, 0..ENDPOINTS);
    let encoded = codec::encode(&Resource::Cluster(cluster));
    let (mut decode, mut encode) = (Vec::new(), Vec::new());
    for _ in 0..UPDATES {
        let begun = Instant::now();
        let decoded = codec::decode(encoded.key.kind, &encoded.key.name, &encoded.body)?;
        decode.push(begun.elapsed().as_secs_f64() * 1e6);
        let begun = Instant::now();
        black_box(codec::encode(&decoded));
        encode.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    for (what, times) in [("decode all of it", &mut decode), ("encode", &mut encode)] {
        let (p50, p95) = quantiles(times);
        row(&[what, &format!("µs p50 {p50:.0}, p95 {p95:.0}")]);
    }
    Ok(())
}

fn quantiles(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len() * 95 / 100))
}
