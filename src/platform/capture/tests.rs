//! What is captured, as text: every exclusion comes before the rule that captures.

use super::*;

#[test]
fn a_pod_is_captured_but_for_its_sidecar_its_probes_and_what_is_left_out() {
    let mut capture = Capture::of_pod(14_700);
    let inbound = capture.inbound.as_mut().expect("a pod has an inbound side");
    inbound.except_ports.push(9_090);
    capture.outbound.except_ports = vec![5_432, 25];
    capture.outbound.except_networks = ["10.1.2.3/8", "192.0.2.1/32", "fd00:1::1/64"]
        .map(|net| net.parse().expect("a net"))
        .into();
    let wanted = "\
add table inet meshctl
delete table inet meshctl
table inet meshctl {
	chain inbound {
		type nat hook prerouting priority -100; policy accept;
		iifname \"lo\" return
		tcp dport 14721 return
		tcp dport 9090 return
		meta l4proto tcp redirect to :14706
	}

	chain outbound {
		type nat hook output priority -100; policy accept;
		meta skuid 14700 return
		ip daddr 127.0.0.0/8 return
		ip6 daddr ::1 return
		ip daddr 10.0.0.0/8 return
		ip daddr 192.0.2.1 return
		ip6 daddr fd00:1::/64 return
		tcp dport 53 return
		tcp dport 5432 return
		tcp dport 25 return
		meta l4proto tcp redirect to :14701
	}
}
";
    assert_eq!(capture.to_string(), wanted);
}

#[test]
fn on_a_machine_one_user_is_captured_in_a_table_of_its_own() {
    let wanted = "\
add table inet meshctl-user-1001
delete table inet meshctl-user-1001
table inet meshctl-user-1001 {
	chain outbound {
		type nat hook output priority -100; policy accept;
		meta skuid != 1001 return
		ip daddr 127.0.0.0/8 return
		ip6 daddr ::1 return
		tcp dport 53 return
		meta l4proto tcp redirect to :4711
	}
}
";
    assert_eq!(Capture::of_user(1_001, 4_711).to_string(), wanted);
}
