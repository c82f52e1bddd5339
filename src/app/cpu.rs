//! What each thread of this process has cost, as the kernel counts it.

use std::collections::BTreeMap;

use nix::unistd::{SysconfVar, sysconf};

/// CPU-seconds since a process or thread began, from the text of its `stat` file (proc_pid_stat(5)).
pub fn seconds(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything; utime and stime are the 14th and 15th field.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let ticks_a_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some((ticks()? + ticks()?) / ticks_a_second as f64)
}

/// CPU-seconds of the threads that run now, by name: a stage's thread has the stage's, the threads of a model's
/// arithmetic have its task's. What GStreamer starts is `other`.
pub fn by_thread() -> BTreeMap<String, f64> {
    let mut spent = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(thread.path().join("stat")) else {
            continue;
        };
        let name = stat.split_once("(wf-").and_then(|(_, rest)| rest.split_once(')'));
        let name = name.map_or("other", |(name, _)| name);
        *spent.entry(name.to_owned()).or_default() += seconds(&stat).unwrap_or_default();
    }
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_for_the_thread_that_does_it() {
        let worker = std::thread::Builder::new().name("wf-toil".into()).spawn(|| {
            let mut sum = 0u64;
            while by_thread()["toil"] < 0.05 {
                sum = (0..200_000u64).fold(sum, |s, i| s.rotate_left(5) ^ i);
            }
            sum
        });
        worker.unwrap().join().unwrap();
        assert!(!by_thread().contains_key("toil"), "it has ended");
        assert!(by_thread().contains_key("other"));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) (b) S 1 1 1 0 -1 64 0 0 0 0 150 50 0 0 20 0 1 0 9 0 0";
        assert_eq!(seconds(stat), Some(2.0));
        assert_eq!(seconds("7 (a) S 1"), None);
    }
}
