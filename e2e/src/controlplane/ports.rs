//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

/// The range lies below the ports that operating systems give to outgoing connections. A port from that other range
/// could be taken by a connection while an API server restarts, and a client that tries to reach a port on which
/// nobody listens could even be connected with itself.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port on 127.0.0.1 that nobody listens on and that this process has not handed out lately.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that start at the same time begin at different places.
    let offset = std::process::id().wrapping_mul(7_919);
    for _ in 0..COUNT {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset);
        let Ok(port) = u16::try_from(FIRST + number % COUNT) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
}
