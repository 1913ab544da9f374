//! Renewing the certificate while connections go on: over the link by the certificate in use, by the
//! proof of the first join when there is no link, or the certificate proves nothing any more.

use super::{Control, Done};
use crate::proxy::join::Joined;

impl Control {
    pub(super) fn renew(&mut self, expired: bool) {
        let applicant = self.applicant.clone();
        let client = self.link.as_ref().map(|link| link.client.clone());
        let mesh = self.tls.credentials().identity().trust_domain.clone();
        self.jobs.spawn(async move {
            // An expired certificate proves nothing; what was shown at first still does.
            let outcome = match client.filter(|_| !expired) {
                Some(client) => applicant.renew(client, &mesh).await,
                None => applicant.prove(Some(&mesh)).await,
            };
            Done::Renewed(outcome.map(Box::new))
        });
    }

    pub(super) fn renewed(&mut self, joined: Joined) {
        let Joined { credentials, roots, control_plane } = joined;
        let serial = credentials.serial().to_owned();
        let waiting = self.renewal.done(&credentials, fastrand::u64(..));
        self.tls.set_roots(roots);
        let outcome = self.tls.replace(credentials).map_err(|error| error.to_string());
        match &outcome {
            Ok(()) => tracing::info!(serial, "certificate renewed"),
            Err(error) => tracing::error!(error, "the new certificate cannot be used"),
        }
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
