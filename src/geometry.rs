//! Plane geometry in fractions of the picture.

use crate::data::{BBox, Point};

impl BBox {
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    pub fn centre(&self) -> Point {
        Point {
            x: (self.x1 + self.x2) / 2.0,
            y: (self.y1 + self.y2) / 2.0,
        }
    }

    /// Where the feet are.
    pub fn bottom(&self) -> Point {
        Point {
            x: (self.x1 + self.x2) / 2.0,
            y: self.y2,
        }
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &BBox) -> f32 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let both = w * h;
        both / (self.area() + other.area() - both).max(f32::EPSILON)
    }

    /// The part inside the picture.
    pub fn clipped(&self) -> BBox {
        let c = |v: f32| v.clamp(0.0, 1.0);
        BBox {
            x1: c(self.x1),
            y1: c(self.y1),
            x2: c(self.x2),
            y2: c(self.y2),
        }
    }
}

/// Distance between two points of a picture with this width over height, in parts of its height. In a wide picture a part of the
/// width counts as much: with those the limits were chosen that it is held against.
pub fn distance(a: Point, b: Point, aspect: f32) -> f32 {
    ((a.x - b.x) * aspect.min(1.0)).hypot(a.y - b.y)
}

/// Even-odd rule. A polygon of fewer than three corners holds nothing. The picture's own right and lower edge belong to it: a box that
/// is cut off there ends on them.
pub fn inside(polygon: &[Point], p: Point) -> bool {
    const LAST: f32 = 1.0 - f32::EPSILON;
    let p = Point {
        x: p.x.min(LAST),
        y: p.y.min(LAST),
    };
    let mut odd = false;
    for (i, a) in polygon.iter().enumerate() {
        let b = polygon[(i + 1) % polygon.len()];
        if (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x {
            odd = !odd;
        }
    }
    polygon.len() >= 3 && odd
}

/// Area of a polygon that does not cross itself (shoelace formula).
pub fn area(polygon: &[Point]) -> f32 {
    let twice: f32 = polygon
        .iter()
        .enumerate()
        .map(|(i, a)| {
            let b = polygon[(i + 1) % polygon.len()];
            a.x * b.y - b.x * a.y
        })
        .sum();
    twice.abs() / 2.0
}

/// Whether two sides of a polygon cross. Sides that only touch do not.
pub fn crosses_itself(polygon: &[Point]) -> bool {
    const SLIGHT: f32 = 1e-4;
    let side = |n: usize| (polygon[n], polygon[(n + 1) % polygon.len()]);
    // Whether the endless line through one side has the other's ends on both hands.
    let parts = |(from, to), (a, b)| {
        let (a, b) = (right_of(from, to, a), right_of(from, to, b));
        a.min(b) < -SLIGHT && a.max(b) > SLIGHT
    };
    (0..polygon.len()).any(|n| (0..n).any(|m| parts(side(m), side(n)) && parts(side(n), side(m))))
}

/// Signed distance of `p` from the endless line through `from` and `to`: positive on the right-hand side when looking
/// from `from` to `to` (y points downwards).
pub fn right_of(from: Point, to: Point, p: Point) -> f32 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    (dx * (p.y - from.y) - dy * (p.x - from.x)) / dx.hypot(dy).max(f32::EPSILON)
}

/// How far along `from` → `to` the point stands: 0 at `from`, 1 at `to`.
pub fn along(from: Point, to: Point, p: Point) -> f32 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    ((p.x - from.x) * dx + (p.y - from.y) * dy) / (dx * dx + dy * dy).max(f32::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn p(x: f32, y: f32) -> Point {
        Point { x, y }
    }

    #[test]
    fn iou_of_equal_boxes_is_one_and_of_distant_ones_zero() {
        let a = BBox {
            x1: 0.1,
            y1: 0.1,
            x2: 0.3,
            y2: 0.5,
        };
        let b = BBox {
            x1: 0.5,
            y1: 0.5,
            x2: 0.6,
            y2: 0.6,
        };
        assert!((a.iou(&a) - 1.0).abs() < 1e-6);
        assert_eq!(a.iou(&b), 0.0);
    }

    #[test]
    fn a_concave_polygon_holds_what_is_inside_it_only() {
        let l = [
            p(0.0, 0.0),
            p(1.0, 0.0),
            p(1.0, 0.3),
            p(0.3, 0.3),
            p(0.3, 1.0),
            p(0.0, 1.0),
        ];
        assert!(inside(&l, p(0.1, 0.9)) && inside(&l, p(0.9, 0.1)));
        assert!(!inside(&l, p(0.9, 0.9)));
        assert!(!inside(&l[..2], p(0.1, 0.0)));
    }

    #[test]
    fn a_box_that_the_picture_cuts_off_ends_inside_it() {
        let half = [p(0.0, 0.5), p(1.0, 0.5), p(1.0, 1.0), p(0.0, 1.0)];
        for at in [p(0.5, 1.0), p(1.0, 0.7), p(1.0, 1.0), p(0.0, 1.0), p(0.0, 0.7)] {
            assert!(inside(&half, at), "{at:?}");
        }
        assert!(!inside(&half, p(1.0, 0.4)));
    }

    #[test]
    fn looking_up_the_picture_the_right_half_is_right() {
        let (from, to) = (p(0.5, 1.0), p(0.5, 0.0));
        assert!(right_of(from, to, p(0.8, 0.5)) > 0.0);
        assert!(right_of(from, to, p(0.2, 0.5)) < 0.0);
        assert!((along(from, to, p(0.8, 0.25)) - 0.75).abs() < 1e-6);
    }
}
