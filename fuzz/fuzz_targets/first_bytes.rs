//! The first bytes of a connection: what is clear from some of them stays so when more arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meshctl::proxy::detect::judge;
use meshctl::proxy::inbound::offers_mesh;

fuzz_target!(|bytes: &[u8]| {
    let whole = judge(bytes);
    for end in 0..bytes.len().min(64) {
        let Some((begin, _)) = bytes.split_at_checked(end) else { break };
        let early = judge(begin);
        assert!(early.is_none() || early == whole, "{early:?}, {whole:?}");
    }
    if bytes.first() == Some(&0x16) {
        let whole = offers_mesh(bytes);
        let (begin, _) = bytes.split_at(bytes.len() / 2);
        let early = offers_mesh(begin);
        assert!(early.is_none() || early == whole, "{early:?}, {whole:?}");
    }
});
