//! From a decoded picture to a frame: privacy masks, then the models' size, and where faces are read the picture as
//! the camera sent it beside it.

use std::sync::Arc;

use super::CameraOptions;
use super::mask::Masker;
use crate::data::{Frame, Picture};

/// Longest side of a native-size picture in pixels: bounds memory, and no face needs more.
pub const NATIVE_PX: u32 = 1920;

/// One camera's way from pictures to frames.
pub struct Lens {
    masker: Masker,
    analysis_px: u32,
    native: bool,
}

impl Lens {
    pub fn new(options: &CameraOptions) -> Self {
        Self {
            masker: Masker::new(options.masks.clone()),
            analysis_px: options.analysis_px,
            native: options.native,
        }
    }

    /// Longest side at which pictures are wanted of the decoder.
    pub fn longest_px(options: &CameraOptions) -> u32 {
        if options.native {
            NATIVE_PX.max(options.analysis_px)
        } else {
            options.analysis_px
        }
    }

    pub fn frame(&mut self, mut picture: Picture, pts_ns: u64) -> Frame {
        self.masker.apply(&mut picture);
        if !self.native {
            return Frame {
                pts_ns,
                picture: Arc::new(picture),
                native: None,
            };
        }
        let native = Arc::new(picture);
        let picture = match shrunk(&native, self.analysis_px) {
            Some(small) => Arc::new(small),
            None => native.clone(),
        };
        Frame {
            pts_ns,
            picture,
            native: Some(native),
        }
    }
}

/// The picture with its longest side at `longest_px` and even sides: each pixel is the mean of those it stands for.
/// None when it is small enough.
fn shrunk(picture: &Picture, longest_px: u32) -> Option<Picture> {
    let (w, h) = (picture.width as usize, picture.height as usize);
    let longest = w.max(h);
    if longest <= longest_px as usize {
        return None;
    }
    let side = |px: usize| {
        let half = px as f64 * f64::from(longest_px) / longest as f64 / 2.0;
        (half.round() as usize * 2).max(2)
    };
    let (nw, nh) = (side(w), side(h));
    // Pixel i of n stands for those from i·size/n to (i + 1)·size/n, one at least.
    let span = |i: usize, n: usize, size: usize| {
        let from = i * size / n;
        from..((i + 1) * size / n).max(from + 1).min(size)
    };
    let mut rgb = Vec::with_capacity(nw * nh * 3);
    let mut sums = vec![0u32; w * 3];
    for y in 0..nh {
        let rows = span(y, nh, h);
        let count = rows.len() as u32;
        sums.fill(0);
        for row in rows {
            let line = &picture.rgb[row * w * 3..][..w * 3];
            sums.iter_mut().zip(line).for_each(|(s, v)| *s += u32::from(*v));
        }
        for x in 0..nw {
            let columns = span(x, nw, w);
            let area = count * columns.len() as u32;
            for colour in 0..3 {
                let sum: u32 = columns.clone().map(|c| sums[c * 3 + colour]).sum();
                rgb.push((sum / area) as u8);
            }
        }
    }
    Some(Picture {
        width: nw as u32,
        height: nh as u32,
        rgb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{CameraId, Point};
    use crate::ingest::Source;

    fn options(native: bool) -> CameraOptions {
        let mut options = CameraOptions::new(CameraId::new("yard"), Source::File { path: "x".into() });
        options.native = native;
        options.analysis_px = 640;
        options
    }

    fn picture(width: u32, height: u32) -> Picture {
        let rgb = (0..width * height)
            .flat_map(|i| [(i % width / 8) as u8, 90, 10])
            .collect();
        Picture { width, height, rgb }
    }

    #[test]
    fn a_camera_without_faces_carries_one_picture_only() {
        let frame = Lens::new(&options(false)).frame(picture(640, 360), 5);
        assert!(frame.native.is_none());
        assert_eq!(Lens::longest_px(&options(false)), 640);
    }

    #[test]
    fn faces_bring_the_native_picture_beside_the_small_one() {
        let frame = Lens::new(&options(true)).frame(picture(1920, 1080), 5);
        let native = frame.native.unwrap();
        assert_eq!(
            (native.width, frame.picture.width, frame.picture.height),
            (1920, 640, 360)
        );
        // Every pixel is the mean of a 3 × 3 block of the slope.
        for x in [0usize, 100, 639] {
            let value = frame.picture.rgb[(200 * 640 + x) * 3];
            assert!(value.abs_diff((x * 3 / 8) as u8) <= 1, "{x}: {value}");
        }
        assert_eq!(frame.picture.rgb[1], 90);
    }

    #[test]
    fn a_small_camera_has_one_picture_for_both() {
        let frame = Lens::new(&options(true)).frame(picture(352, 288), 5);
        assert!(Arc::ptr_eq(&frame.picture, frame.native.as_ref().unwrap()));
        let odd = shrunk(&picture(1921, 1081), 640).unwrap();
        assert_eq!((odd.width, odd.height, odd.rgb.len()), (640, 360, 640 * 360 * 3));
    }

    #[test]
    fn masks_are_black_in_both() {
        let mut options = options(true);
        let corner = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)];
        options.masks.push(corner.map(|(x, y)| Point { x, y }).to_vec());
        let frame = Lens::new(&options).frame(picture(1280, 720), 5);
        let native = frame.native.unwrap();
        assert_eq!((native.rgb[1], frame.picture.rgb[1]), (0, 0));
        assert_eq!(native.rgb[native.rgb.len() - 2], 90);
    }
}
