//! What is not as it should be in the pools of services: endpoints that are out, breakers that are
//! open. No table where there is nothing to say.

use jiff::Timestamp;

use crate::cli::endpoints::pool::{and_more, scoped, short, together};
use crate::cli::output::{Cell, Table, age};
use crate::control::api::shapes::ServiceStatus;

/// The tables, none of them empty.
pub(super) fn tables(services: &[ServiceStatus], now: Timestamp) -> Vec<Table> {
    let tables = [endpoints(services, now), breakers(services, now)];
    tables.into_iter().filter(|table| !table.is_empty()).collect()
}

fn endpoints(services: &[ServiceStatus], now: Timestamp) -> Table {
    let mut table = Table::new(&["POOL", "ENDPOINT", "CALLER", "STATE", ">SINCE", ">UNTIL", "WHY"]);
    for it in services {
        for group in together(&it.pool).iter().filter(|group| !group.is_warming()) {
            table.row([
                scoped(&it.namespace, &it.name).into(),
                group.endpoint().into(),
                group.callers().into(),
                group.state(),
                group.since().map_or("-".to_owned(), |since| age(since, now)).into(),
                group.until(now).into(),
                group.why().into(),
            ]);
        }
        let panic = it.breaker_detail.callers.iter().filter(|caller| caller.panic);
        let panic: Vec<_> = panic.map(|caller| caller.proxy.as_str()).collect();
        if !panic.is_empty() {
            table.row([
                scoped(&it.namespace, &it.name).into(),
                "all".into(),
                and_more(&panic).into(),
                Cell::warn("Panic"),
                "-".into(),
                "-".into(),
                "too few are left, so all are used".into(),
            ]);
        }
    }
    table
}

fn breakers(services: &[ServiceStatus], now: Timestamp) -> Table {
    let mut table = Table::new(&["BREAKER", "CALLER", "STATE", ">LAST", "REFUSED"]);
    for it in services {
        let callers = it.breaker_detail.callers.iter();
        for caller in callers.filter(|caller| caller.breaker != "Closed") {
            let state = match caller.shadow {
                true => Cell::warn(format!("{} (shadow)", caller.breaker)),
                false => Cell::bad(&caller.breaker),
            };
            let refused = caller.refused.iter().map(|(why, count)| format!("{count} {why}"));
            table.row([
                scoped(&it.namespace, &it.name).into(),
                short(&caller.proxy).into(),
                state,
                caller.last_refused.map_or("-".to_owned(), |last| age(last, now)).into(),
                refused.collect::<Vec<_>>().join(", ").into(),
            ]);
        }
    }
    table
}
