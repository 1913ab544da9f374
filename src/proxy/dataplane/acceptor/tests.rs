//! The acceptor: who gets a connection, and who gets none.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::mpsc;

use super::*;
use crate::proxy::overload::memory::Fill;
use crate::proxy::serve::tests::rig::{pair, run, worker};

fn seat() -> (Seat, mpsc::Receiver<Arrival>) {
    let (sender, receiver) = mpsc::channel(8);
    (Seat { sender, load: Arc::new(AtomicUsize::new(0)) }, receiver)
}

fn seats(seats: Vec<Seat>, most: usize) -> Seats {
    Seats {
        seats,
        calls: Arc::default(),
        most,
        shared: Arc::clone(&worker(None, Vec::new()).shared),
    }
}

#[test]
fn a_worker_that_has_ended_gets_no_connections() {
    run(async {
        let ((dead, gone), (alive, mut arrivals)) = (seat(), seat());
        drop(gone);
        let seats = seats(vec![dead, alive], 8);
        for _ in 0..2 {
            hand_over(pair().await.0, Role::Inbound, &seats).await;
            assert!(arrivals.try_recv().is_ok());
        }
    });
}

#[test]
fn what_is_over_the_limit_is_closed() {
    run(async {
        let (only, mut arrivals) = seat();
        let seats = seats(vec![only], 1);
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        assert!(arrivals.try_recv().is_ok() && arrivals.try_recv().is_err());
        assert_eq!(seats.shared.metrics.limits.of(Limit::Connections), 1);
    });
}

#[test]
fn nobody_gets_in_when_memory_has_run_out() {
    run(async {
        let (only, mut arrivals) = seat();
        let seats = seats(vec![only], 8);
        seats.shared.overload.measure(Fill::of(1_000));
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        assert!(arrivals.try_recv().is_err());
        seats.shared.overload.measure(Fill::of(0));
        hand_over(pair().await.0, Role::Inbound, &seats).await;
        assert!(arrivals.try_recv().is_ok());
        assert_eq!(seats.shared.metrics.limits.of(Limit::Memory), 1);
    });
}
