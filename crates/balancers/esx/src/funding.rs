//! Shares, the idle memory tax and min-funding revocation in their own terms. Amounts are in one unit of the caller's
//! choice, and may be fractions of it.

/// A client of the host's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// Its claim.
    pub shares: f64,
    /// What it has.
    pub memory: f64,
    /// Of that, what it uses actively, as an estimate. May be above what it has.
    pub active: f64,
    /// Nothing is revoked below this.
    pub minimum: f64,
}

/// What an idle page costs, an active one being 1: k = 1 / (1 − τ).
#[must_use]
pub fn idle_cost(tax: f64) -> f64 {
    1.0 / (1.0 - tax.clamp(0.0, 0.99))
}

impl Client {
    /// What the client pays per page: ρ = S / (P · (f + k · (1 − f))), f being the active part of P.
    #[must_use]
    pub fn price(&self, idle_cost: f64) -> f64 {
        let active = self.active.min(self.memory);
        self.shares / (active + idle_cost * (self.memory - active))
    }

    /// How much it has when it pays 1/`level` per page: the inverse of [`Self::price`].
    fn at(&self, level: f64, idle_cost: f64) -> f64 {
        let charged = self.shares * level;
        if charged <= self.active { charged } else { (charged + (idle_cost - 1.0) * self.active) / idle_cost }
    }

    /// What is left of it when everyone who pays less than 1/`level` per page loses pages until it pays that.
    fn left_at(&self, level: f64, idle_cost: f64) -> f64 {
        self.memory.min(self.at(level, idle_cost).max(self.minimum))
    }
}

/// Revoke `amount`, page by page from whoever pays least per page at that moment and is above its minimum. Less is revoked
/// if that is all there is above minimums. Returns the price at which it ended.
///
/// Revoking page by page ends with everyone who lost something at the same price; so that price is looked for instead.
pub fn revoke(clients: &mut [Client], amount: f64, idle_cost: f64) -> f64 {
    let has: f64 = clients.iter().map(|client| client.memory).sum();
    // No VM pays less than this.
    let mut most = clients.iter().map(|client| 1.0 / client.price(idle_cost)).fold(0.0, f64::max);
    if amount <= 0.0 || most <= 0.0 {
        return 1.0 / most;
    }
    let left = |level: f64| clients.iter().map(|client| client.left_at(level, idle_cost)).sum::<f64>();
    let goal = has - amount;
    let mut least = 0.0;
    for _ in 0..64 {
        let middle = f64::midpoint(least, most);
        if left(middle) > goal {
            most = middle;
        } else {
            least = middle;
        }
        if most - least <= most * 1e-14 {
            break;
        }
    }
    for client in clients.iter_mut() {
        client.memory = client.left_at(least, idle_cost);
    }
    1.0 / least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(shares: f64, memory: f64, active: f64, minimum: f64) -> Client {
        Client { shares, memory, active, minimum }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn an_idle_page_costs_four_times_an_active_one() {
        let k = idle_cost(0.75);
        assert!(near(k, 4.0));
        assert!(near(client(1000.0, 100.0, 100.0, 0.0).price(k), 10.0));
        assert!(near(client(1000.0, 100.0, 0.0, 0.0).price(k), 2.5));
        // f = 0.5: 0.5 + 4 · 0.5 = 2.5 times.
        assert!(near(client(1000.0, 100.0, 50.0, 0.0).price(k), 4.0));
        // Pure shares without tax.
        assert!(near(client(1000.0, 100.0, 0.0, 0.0).price(idle_cost(0.0)), 10.0));
    }

    /// Two VMs of 256 MB with the same shares on a host with 360 MB for them, one idle, one active (the paper's experiment,
    /// section 5.4).
    #[test]
    fn the_tax_moves_memory_from_the_idle_to_the_active() {
        let two = || [client(1000.0, 256.0, 0.0, 0.0), client(1000.0, 256.0, 256.0, 0.0)];
        let mut untaxed = two();
        revoke(&mut untaxed, 512.0 - 360.0, idle_cost(0.0));
        assert!(near(untaxed[0].memory, 180.0) && near(untaxed[1].memory, 180.0));
        let mut taxed = two();
        revoke(&mut taxed, 512.0 - 360.0, idle_cost(0.75));
        // x + 4x = 360 would be 72 and 288: the active one has no more than 256.
        assert!(near(taxed[0].memory, 104.0) && near(taxed[1].memory, 256.0));
    }

    #[test]
    fn shares_decide_among_equals() {
        let mut clients = [client(2000.0, 400.0, 400.0, 0.0), client(1000.0, 400.0, 400.0, 0.0)];
        revoke(&mut clients, 200.0, 4.0);
        assert!(near(clients[0].memory, 400.0) && near(clients[1].memory, 200.0));
        revoke(&mut clients, 300.0, 4.0);
        assert!(near(clients[0].memory, 200.0) && near(clients[1].memory, 100.0));
    }

    #[test]
    fn minimums_hold() {
        let mut clients = [client(1000.0, 400.0, 0.0, 300.0), client(1000.0, 400.0, 400.0, 100.0)];
        revoke(&mut clients, 350.0, 4.0);
        assert!(near(clients[0].memory, 300.0) && near(clients[1].memory, 150.0));
        revoke(&mut clients, 9000.0, 4.0);
        assert!(near(clients[0].memory, 300.0) && near(clients[1].memory, 100.0));
        revoke(&mut [], 10.0, 4.0);
    }

    fn clients() -> impl Strategy<Value = Vec<Client>> {
        let one = (1..5000_u32, 1..300_u32, 0.0..1.5_f64, 0.0..1.0_f64).prop_map(
            |(shares, memory, active, minimum)| {
                let memory = f64::from(memory);
                client(f64::from(shares), memory, memory * active, (memory * minimum).floor())
            },
        );
        prop::collection::vec(one, 1..8)
    }

    proptest! {
        /// The definition: one page at a time, from the VM that pays least.
        #[test]
        fn is_what_revoking_page_by_page_comes_to(clients in clients(), part in 0.0..1.0_f64) {
            let k = idle_cost(0.75);
            let above: f64 = clients.iter().map(|client| client.memory - client.minimum).sum();
            let amount = (above * part).floor();
            let mut one_by_one = clients.clone();
            for _ in 0..amount as u32 {
                let victim = one_by_one
                    .iter_mut()
                    .filter(|client| client.memory >= client.minimum + 1.0)
                    .min_by(|a, b| a.price(k).total_cmp(&b.price(k)));
                let Some(victim) = victim else { break };
                victim.memory -= 1.0;
            }
            let mut at_once = clients.clone();
            revoke(&mut at_once, amount, k);
            for (one, all) in one_by_one.iter().zip(&at_once) {
                // Whole pages, and whose turn it is at the end.
                prop_assert!((one.memory - all.memory).abs() <= 1.0 + clients.len() as f64, "{one_by_one:?} {at_once:?}");
            }
            let left: f64 = at_once.iter().map(|client| client.memory).sum();
            let has: f64 = clients.iter().map(|client| client.memory).sum();
            prop_assert!((has - left - amount).abs() < 1e-3);
        }

        #[test]
        fn price_and_its_inverse_agree(client in clients(), tax in 0.0..0.95_f64) {
            let k = idle_cost(tax);
            for client in client {
                let back = client.at(1.0 / client.price(k), k);
                prop_assert!((back - client.memory).abs() < 1e-6 * client.memory.max(1.0));
            }
        }
    }
}
