//! The fixed palette of everything that we draw.

/// Red, green, blue.
pub type Rgb = [u8; 3];

pub const WHITE: Rgb = [255, 255, 255];
pub const BLACK: Rgb = [0, 0, 0];
pub const ALERT: Rgb = [255, 64, 48];
pub const ZONE: Rgb = [255, 200, 0];
pub const LINE: Rgb = [0, 200, 255];
const TRACKS: [Rgb; 6] = [
    [64, 220, 96],
    [90, 160, 255],
    [255, 140, 220],
    [180, 255, 80],
    [255, 170, 80],
    [120, 255, 230],
];

/// The same track has the same colour in every frame.
pub fn of_track(id: u64) -> Rgb {
    TRACKS[(id % TRACKS.len() as u64) as usize]
}
