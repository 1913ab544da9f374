//! Renewing the certificate while connections go on: over the link by the certificate in use, by the
//! proof of the first join when there is no link, or the certificate proves nothing any more. A join
//! token is no such proof while the certificate lives: it was spent on the first one.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::renewal::Renewal;
use super::{Control, Done, link};
use crate::proxy::join::{JoinError, Joined, Proof, TokenProof};

impl Control {
    pub(super) fn renew(&mut self, expired: bool) {
        let applicant = self.applicant.clone();
        let client = self.link.as_ref().map(|link| link.client.clone());
        let mesh = self.tls.credentials().identity().trust_domain.clone();
        let address = match &applicant.proof {
            Proof::Token(TokenProof::Join(proof)) if !expired => Some(proof.control_plane.clone()),
            _ => None,
        };
        let tls = Arc::clone(&self.tls);
        let job = self.jobs.spawn(async move {
            // An expired certificate proves nothing; what was shown at first still does.
            let outcome = match (client.filter(|_| !expired), address) {
                (Some(client), _) => applicant.renew(client, &mesh).await,
                (None, Some(address)) => match link::call(&address, &tls).await {
                    Ok(client) => applicant.renew(client, &mesh).await,
                    Err(status) => Err(JoinError::Refused(Box::new(status))),
                },
                (None, None) => applicant.prove(Some(&mesh)).await,
            };
            Done::Renewed(outcome.map(Box::new))
        });
        self.renewing = Some(job.id());
    }

    pub(super) fn renewed(&mut self, joined: Joined) {
        let Joined { credentials, roots, control_plane } = joined;
        let next = Renewal::new(&credentials, fastrand::u64(..));
        let serial = credentials.serial().to_owned();
        self.tls.set_roots(roots);
        let outcome = self.tls.replace(credentials).map_err(|error| error.to_string());
        let waiting = match &outcome {
            Ok(()) => {
                tracing::info!(serial, "certificate renewed");
                self.renewal.done(next)
            }
            Err(error) => {
                tracing::error!(error, "the new certificate cannot be used");
                let at = (SystemTime::now(), Instant::now());
                self.renewal.failed(false, at, fastrand::u64(..))
            }
        };
        if !control_plane.is_empty() {
            self.control_plane = control_plane;
        }
        self.status.send_modify(|status| {
            status.cert_expired &= outcome.is_err();
        });
        let body = outcome.map(|()| serde_json::json!({ "serial": serial }).to_string());
        self.send_state();
        self.reply_all(&waiting, &body);
    }
}
