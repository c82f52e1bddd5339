//! Where a box will be, from where it was.

use crate::data::BBox;

/// Constant velocity for centre x, centre y, width and height: four independent filters of position and speed. The
/// noises are in box heights, as in SORT (Bewley et al., 2016).
pub(super) struct Motion {
    axes: [Axis; 4],
}

#[derive(Clone, Copy)]
struct Axis {
    x: f32,
    v: f32,
    /// Covariance: position, position-speed, speed.
    p: [f32; 3],
}

impl Motion {
    pub fn new(b: BBox) -> Self {
        let h2 = b.height().powi(2).max(1e-6);
        let axis = |x| Axis {
            x,
            v: 0.0,
            p: [0.01 * h2, 0.0, 1.0 * h2],
        };
        let c = b.centre();
        Self {
            axes: [axis(c.x), axis(c.y), axis(b.width()), axis(b.height())],
        }
    }

    pub fn bbox(&self) -> BBox {
        let [x, y, w, h] = self.axes.map(|a| a.x);
        let (w, h) = (w.max(1e-4), h.max(1e-4));
        BBox {
            x1: x - w / 2.0,
            y1: y - h / 2.0,
            x2: x + w / 2.0,
            y2: y + h / 2.0,
        }
    }

    pub fn stop(&mut self) {
        self.axes.iter_mut().for_each(|a| a.v = 0.0);
    }

    pub fn predict(&mut self, dt_s: f32) {
        let h2 = self.axes[3].x.powi(2).max(1e-6);
        for (i, a) in self.axes.iter_mut().enumerate() {
            // Sizes change more slowly than places; speed fades, so that a lost track does not run away.
            let accel = if i < 2 { 1.0 } else { 0.05 } * h2;
            a.x += a.v * dt_s;
            a.v *= (1.0 - 0.4 * dt_s).max(0.0);
            let [p, c, s] = a.p;
            a.p = [
                p + 2.0 * dt_s * c + dt_s * dt_s * s + 0.002 * h2 * dt_s,
                c + dt_s * s,
                s + accel * dt_s,
            ];
        }
    }

    pub fn correct(&mut self, b: BBox) {
        let noise = 0.003 * b.height().powi(2).max(1e-6);
        let c = b.centre();
        for (a, z) in self.axes.iter_mut().zip([c.x, c.y, b.width(), b.height()]) {
            let [p, pv, s] = a.p;
            let (k, kv) = (p / (p + noise), pv / (p + noise));
            let off = z - a.x;
            a.x += k * off;
            a.v += kv * off;
            a.p = [(1.0 - k) * p, (1.0 - k) * pv, s - kv * pv];
        }
    }
}
