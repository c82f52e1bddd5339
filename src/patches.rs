//! Sound cut into the patches that a model takes: the daemon and `models eval` cut it alike.

use crate::data::{NS_PER_SAMPLE, SAMPLE_RATE_HZ};

/// A hole or overlap larger than this: the sound is not the same stretch any more.
const SPLICE_TOLERANCE_NS: u64 = 250_000_000;
/// What is left where the sound breaks off is heard from a tenth of a second on.
const LEAST_REST: usize = SAMPLE_RATE_HZ as usize / 10;

/// A piece of sound as long as a model takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    pub start_ns: u64,
    /// 16 kHz mono. Behind `heard` it is silence: there was no more of it.
    pub samples: Vec<f32>,
    pub heard: usize,
    /// So many at the end of what was heard were in no patch before.
    pub fresh: usize,
}

impl Patch {
    pub fn end_ns(&self) -> u64 {
        self.start_ns + self.heard as u64 * NS_PER_SAMPLE
    }

    /// What was heard of it.
    pub fn sound(&self) -> &[f32] {
        &self.samples[..self.heard]
    }
}

/// Takes sound as it comes and gives patches of `patch` samples, one every `hop`, so that no sound is halved by the edge of
/// what it came in. Where the sound breaks off, the last patch ends with it; a sound shorter than a patch is followed by
/// silence.
#[derive(Clone, Debug)]
pub struct Patches {
    patch: usize,
    hop: usize,
    /// From the beginning of the last patch on, at `start_ns`.
    samples: Vec<f32>,
    start_ns: u64,
    /// So many of them were in a patch.
    told: usize,
}

impl Patches {
    /// `hop` is at most `patch`, and neither is 0.
    pub fn new(patch: usize, hop: usize) -> Self {
        Self {
            patch: patch.max(1),
            hop: hop.clamp(1, patch.max(1)),
            start_ns: 0,
            samples: Vec::new(),
            told: 0,
        }
    }

    /// Samples that begin at `pts_ns`.
    pub fn push(&mut self, pts_ns: u64, samples: &[f32]) -> Vec<Patch> {
        let waiting_ns = self.samples.len() as u64 * NS_PER_SAMPLE;
        let mut out = Vec::new();
        if pts_ns.abs_diff(self.start_ns + waiting_ns) > SPLICE_TOLERANCE_NS {
            out.extend(self.break_off());
        }
        // Also where sound goes on: a camera's clock drifts, and a small hole is closed.
        self.start_ns = pts_ns.saturating_sub(self.samples.len() as u64 * NS_PER_SAMPLE);
        self.samples.extend_from_slice(samples);
        loop {
            let gone = if self.told > 0 { self.hop } else { 0 };
            if self.samples.len() < gone + self.patch {
                return out;
            }
            self.move_on(gone);
            out.push(Patch {
                start_ns: self.start_ns,
                samples: self.samples[..self.patch].to_vec(),
                heard: self.patch,
                fresh: if gone > 0 { self.hop } else { self.patch },
            });
            self.told = self.patch;
        }
    }

    fn move_on(&mut self, samples: usize) {
        self.samples.drain(..samples);
        self.start_ns += samples as u64 * NS_PER_SAMPLE;
    }

    /// The sound ends here, or something else follows.
    pub fn break_off(&mut self) -> Option<Patch> {
        let untold = self.samples.len() - std::mem::take(&mut self.told);
        self.move_on(self.samples.len().saturating_sub(self.patch));
        let mut samples = std::mem::take(&mut self.samples);
        if untold < LEAST_REST {
            return None;
        }
        let heard = samples.len();
        samples.resize(self.patch, 0.0);
        Some(Patch {
            start_ns: self.start_ns,
            samples,
            heard,
            fresh: untold.min(heard),
        })
    }

    /// What waits is of another stream.
    pub fn forget(&mut self) {
        self.samples.clear();
        self.told = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn patches() -> Patches {
        Patches::new(15_360, 7_680)
    }

    fn starts_ms(patches: &[Patch]) -> Vec<u64> {
        patches.iter().map(|p| p.start_ns / MS).collect()
    }

    #[test]
    fn patches_run_over_the_edges_of_what_came() {
        let mut patches = patches();
        let all: Vec<Patch> = (0..6).flat_map(|i| patches.push(i * 500 * MS, &[0.5; 8_000])).collect();
        assert_eq!(starts_ms(&all), [0, 480, 960, 1_440, 1_920]);
        assert!(all.iter().all(|p| p.heard == 15_360 && p.samples.len() == 15_360));
    }

    /// A lost packet: what is left is heard, at the time of what follows.
    #[test]
    fn a_small_hole_is_closed() {
        let mut patches = patches();
        assert!(patches.push(0, &[0.5; 8_000]).is_empty());
        assert_eq!(starts_ms(&patches.push(564 * MS, &[0.5; 8_000])), [64]);
    }

    #[test]
    fn before_a_hole_and_at_the_end_the_rest_is_told() {
        let mut patches = patches();
        assert!(patches.push(0, &[0.5; 8_000]).is_empty());
        let all = patches.push(5_000 * MS, &[0.5; 16_000]);
        assert_eq!(starts_ms(&all), [0, 5_000]);
        assert_eq!(
            (all[0].heard, all[0].end_ns(), all[0].samples.len()),
            (8_000, 500 * MS, 15_360)
        );
        assert!(all[0].samples[8_000..].iter().all(|s| *s == 0.0));
        // 40 ms are in no patch yet: too little to be told again with what was.
        assert_eq!(patches.break_off(), None);
        let _ = patches.push(10_000 * MS, &[0.5; 18_000]);
        let rest = patches.break_off().unwrap();
        assert_eq!(
            (rest.start_ns / MS, rest.end_ns() / MS, rest.heard),
            (10_165, 11_125, 15_360)
        );
        assert_eq!(patches.break_off(), None);
    }

    #[test]
    fn a_sound_shorter_than_a_patch_is_heard() {
        let mut patches = patches();
        assert!(patches.push(0, &[0.5; 1_600]).is_empty());
        assert_eq!(patches.break_off().unwrap().heard, 1_600);
        let _ = patches.push(0, &[0.5; 1_600]);
        patches.forget();
        assert_eq!(patches.break_off(), None);
    }
}
