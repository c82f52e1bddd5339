//! One mailbox a camera in front of a shared stage, drained round-robin, so that no camera starves another.

use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, bounded, unbounded};

use super::edge::{Edge, EdgeIn, EdgeMeter, EdgeOut, Next, Policy};

/// Hands out mailboxes; when it and all of them are gone, the stage's input closes.
pub struct PostOffice<T> {
    depth: usize,
    policy: Policy,
    wake: Sender<()>,
    added: Sender<EdgeOut<T>>,
    meter: EdgeMeter,
}

/// A camera's way into the stage.
pub struct Mailbox<T> {
    edge: EdgeIn<T>,
    wake: Sender<()>,
}

/// The stage's side.
pub struct Postman<T> {
    boxes: Vec<EdgeOut<T>>,
    turn: usize,
    wake: Receiver<()>,
    added: Receiver<EdgeOut<T>>,
    open: bool,
}

impl<T> PostOffice<T> {
    pub fn new(depth: usize, policy: Policy, meter: EdgeMeter) -> (Self, Postman<T>) {
        let (wake, woken) = bounded(1);
        let (added, additions) = unbounded();
        let office = Self {
            depth,
            policy,
            wake,
            added,
            meter,
        };
        let postman = Postman {
            boxes: Vec::new(),
            turn: 0,
            wake: woken,
            added: additions,
            open: true,
        };
        (office, postman)
    }

    /// A new mailbox; the stage looks into it from now on, until it is dropped.
    pub fn mailbox(&self) -> Mailbox<T> {
        let (edge, out) = Edge::bounded(self.depth, self.policy, self.meter.clone());
        // Fails only when the stage is gone; the first push then hands its item back.
        let _ = self.added.send(out);
        let _ = self.wake.try_send(());
        Mailbox {
            edge,
            wake: self.wake.clone(),
        }
    }
}

impl<T> Mailbox<T> {
    #[must_use = "an evicted window must still be reported as shed"]
    pub fn push(&self, item: T) -> Option<T> {
        let evicted = self.edge.push(item);
        // Full means that a wake-up is already on its way.
        let _ = self.wake.try_send(());
        evicted
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let _ = self.wake.try_send(());
    }
}

impl<T> Postman<T> {
    /// The next item, the mailboxes taking turns.
    pub fn next(&mut self, wait: Duration) -> Next<T> {
        self.open_boxes();
        if let Some(item) = self.collect() {
            return Next::Item(item);
        }
        if !self.open && self.boxes.is_empty() {
            return Next::Closed;
        }
        let mut select = Select::new();
        let woken = select.recv(&self.wake);
        let added = self.open.then(|| select.recv(&self.added));
        if let Ok(ready) = select.select_timeout(wait) {
            if ready.index() == woken {
                let _ = ready.recv(&self.wake);
            } else if Some(ready.index()) == added {
                match ready.recv(&self.added) {
                    Ok(mailbox) => self.boxes.push(mailbox),
                    Err(_) => self.open = false,
                }
            }
        }
        Next::Idle
    }

    fn open_boxes(&mut self) {
        while let Ok(mailbox) = self.added.try_recv() {
            self.boxes.push(mailbox);
        }
    }

    fn collect(&mut self) -> Option<T> {
        let mut empty_in_a_row = 0;
        while empty_in_a_row < self.boxes.len() {
            self.turn %= self.boxes.len();
            match self.boxes[self.turn].poll() {
                Next::Item(item) => {
                    self.turn += 1;
                    return Some(item);
                }
                Next::Idle => {
                    empty_in_a_row += 1;
                    self.turn += 1;
                }
                Next::Closed => {
                    self.boxes.remove(self.turn);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn office() -> (PostOffice<u32>, Postman<u32>) {
        PostOffice::new(2, Policy::DropOldest, EdgeMeter::default())
    }

    fn next(postman: &mut Postman<u32>) -> Option<u32> {
        loop {
            match postman.next(WAIT) {
                Next::Item(item) => return Some(item),
                Next::Closed => return None,
                Next::Idle => {}
            }
        }
    }

    #[test]
    fn a_busy_camera_does_not_starve_a_quiet_one() {
        let (office, mut postman) = office();
        let (busy, quiet) = (office.mailbox(), office.mailbox());
        for item in [1, 2] {
            assert_eq!(busy.push(item), None);
        }
        assert_eq!(quiet.push(10), None);
        let order: Vec<_> = (0..3).map_while(|_| next(&mut postman)).collect();
        assert_eq!(order, [1, 10, 2]);
    }

    #[test]
    fn the_input_closes_when_office_and_mailboxes_are_gone() {
        let (office, mut postman) = office();
        let mailbox = office.mailbox();
        assert_eq!(mailbox.push(1), None);
        drop((office, mailbox));
        assert_eq!(next(&mut postman), Some(1));
        assert_eq!(next(&mut postman), None);
    }
}
