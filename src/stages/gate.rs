//! Decides what is worth computing. For now everything is; the ring of the last windows is kept, so that a wake-up
//! can start before its cause.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{CameraId, Job, Stage};
use crate::error::StageError;
use crate::picture_stats::picture_stats;

/// Passes every window on and remembers the last few of each camera.
pub struct Gate {
    keep: usize,
    rings: HashMap<CameraId, VecDeque<Job>>,
}

impl Gate {
    /// `keep`: windows remembered per camera. They hold pictures, so this bounds memory.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            rings: HashMap::new(),
        }
    }
}

impl Stage for Gate {
    type In = Vec<Job>;
    type Out = Job;

    fn process(&mut self, jobs: Vec<Job>, out: &mut Vec<Job>) -> Result<(), StageError> {
        for mut job in jobs {
            if job.profile.behaviour.tamper.is_some() {
                let last = job.window.frames.last();
                job.look = last.map(|frame| Arc::new(picture_stats(&frame.picture)));
            }
            let ring = self.rings.entry(job.camera().clone()).or_default();
            if job.window.discontinuity {
                ring.clear();
            }
            ring.push_back(job.clone());
            while ring.len() > self.keep {
                ring.pop_front();
            }
            out.push(job);
        }
        Ok(())
    }

    fn failed(jobs: &Vec<Job>) -> Vec<Job> {
        jobs.clone()
    }

    fn recover(&mut self, jobs: &Vec<Job>) {
        for job in jobs {
            self.rings.remove(job.camera());
        }
    }
}
