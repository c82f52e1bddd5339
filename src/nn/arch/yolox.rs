//! YOLOX (Ge et al., 2021, arXiv:2107.08430): CSP darknet, path-aggregation neck, decoupled anchor-free heads. Module
//! names are those of the official checkpoints.

use candle_core::Tensor;
use serde::Deserialize;

use crate::nn::ModelError;
use crate::nn::kernels::{Activation, ConvShape};
pub(super) use crate::nn::layers::focus;
use crate::nn::layers::{Conv, max_pool_same, twice};
use crate::nn::weights::Weights;

/// Cells of the three levels are so many pixels wide, in the order of the output.
pub(in crate::nn) const STRIDES: [usize; 3] = [8, 16, 32];

/// nano: 0.25, 0.33, depthwise; tiny: 0.375, 0.33; s: 0.5, 0.33; m: 0.75, 0.67; l: 1, 1; x: 1.25, 1.33.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::nn) struct Config {
    pub width: f64,
    pub depth: f64,
    #[serde(default)]
    pub depthwise: bool,
    /// As many as the manifest has labels.
    #[serde(skip)]
    pub classes: usize,
}

/// Refuses sizes of no network.
pub(super) fn expect_sizes(width: f64, depth: f64) -> Result<(), ModelError> {
    if width > 0.0 && depth > 0.0 {
        return Ok(());
    }
    Err(ModelError::ArchConfig("width and depth must be more than 0".into()))
}

/// The names of every convolution in the order in which an exported network runs them.
pub(in crate::nn) fn conv_names(config: &Config) -> Vec<String> {
    let n = ((3.0 * config.depth).round() as usize).max(1);
    let mut names = Vec::new();
    let mut conv = |name: String| names.push(format!("{name}.conv"));
    let conv3 = |conv: &mut dyn FnMut(String), name: String| {
        if config.depthwise {
            conv(format!("{name}.dconv"));
            conv(format!("{name}.pconv"));
        } else {
            conv(name);
        }
    };
    let csp = |conv: &mut dyn FnMut(String), name: String, n: usize| {
        conv(format!("{name}.conv1"));
        conv(format!("{name}.conv2"));
        for i in 0..n {
            conv(format!("{name}.m.{i}.conv1"));
            conv3(conv, format!("{name}.m.{i}.conv2"));
        }
        conv(format!("{name}.conv3"));
    };
    let (b, p) = ("backbone.backbone", "backbone");
    conv(format!("{b}.stem.conv"));
    for (dark, n) in [("dark2", n), ("dark3", 3 * n), ("dark4", 3 * n)] {
        conv3(&mut conv, format!("{b}.{dark}.0"));
        csp(&mut conv, format!("{b}.{dark}.1"), n);
    }
    conv3(&mut conv, format!("{b}.dark5.0"));
    conv(format!("{b}.dark5.1.conv1"));
    conv(format!("{b}.dark5.1.conv2"));
    csp(&mut conv, format!("{b}.dark5.2"), n);
    conv(format!("{p}.lateral_conv0"));
    csp(&mut conv, format!("{p}.C3_p4"), n);
    conv(format!("{p}.reduce_conv1"));
    csp(&mut conv, format!("{p}.C3_p3"), n);
    conv3(&mut conv, format!("{p}.bu_conv2"));
    csp(&mut conv, format!("{p}.C3_n3"), n);
    conv3(&mut conv, format!("{p}.bu_conv1"));
    csp(&mut conv, format!("{p}.C3_n4"), n);
    for i in 0..STRIDES.len() {
        names.push(format!("head.stems.{i}.conv"));
        for (branch, preds) in [("cls", &["cls"][..]), ("reg", &["reg", "obj"])] {
            let mut conv = |name: String| names.push(format!("{name}.conv"));
            conv3(&mut conv, format!("head.{branch}_convs.{i}.0"));
            conv3(&mut conv, format!("head.{branch}_convs.{i}.1"));
            names.extend(preds.iter().map(|pred| format!("head.{pred}_preds.{i}")));
        }
    }
    names
}

/// Builds parts under a name.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub w: &'a Weights,
    pub depthwise: bool,
}

impl Maker<'_> {
    pub fn conv(&self, name: &str, ins: usize, outs: usize, kernel: usize, stride: usize) -> Result<Conv, ModelError> {
        let shape = ConvShape {
            ins,
            outs,
            kernel,
            stride,
            pad: kernel / 2,
            depthwise: false,
        };
        Conv::with_norm(
            self.w,
            &format!("{name}.conv"),
            &format!("{name}.bn"),
            shape,
            Activation::Silu,
        )
    }

    /// A 3×3 convolution, or in the depthwise networks a depthwise one and a 1×1.
    pub fn conv3(&self, name: &str, ins: usize, outs: usize, stride: usize) -> Result<Chain, ModelError> {
        if !self.depthwise {
            return Ok(Chain(vec![self.conv(name, ins, outs, 3, stride)?]));
        }
        let shape = ConvShape {
            ins,
            outs: ins,
            kernel: 3,
            stride,
            pad: 1,
            depthwise: true,
        };
        let (conv, norm) = (format!("{name}.dconv.conv"), format!("{name}.dconv.bn"));
        let depthwise = Conv::with_norm(self.w, &conv, &norm, shape, Activation::Silu)?;
        Ok(Chain(vec![
            depthwise,
            self.conv(&format!("{name}.pconv"), ins, outs, 1, 1)?,
        ]))
    }

    pub fn csp(&self, name: &str, ins: usize, outs: usize, n: usize, shortcut: bool) -> Result<Csp, ModelError> {
        let hidden = outs / 2;
        let bottleneck = |i| {
            let name = format!("{name}.m.{i}");
            Ok::<_, ModelError>((
                self.conv(&format!("{name}.conv1"), hidden, hidden, 1, 1)?,
                self.conv3(&format!("{name}.conv2"), hidden, hidden, 1)?,
            ))
        };
        Ok(Csp {
            main: self.conv(&format!("{name}.conv1"), ins, hidden, 1, 1)?,
            side: self.conv(&format!("{name}.conv2"), ins, hidden, 1, 1)?,
            join: self.conv(&format!("{name}.conv3"), 2 * hidden, outs, 1, 1)?,
            bottlenecks: (0..n).map(bottleneck).collect::<Result<_, _>>()?,
            shortcut,
        })
    }
}

pub(super) struct Chain(Vec<Conv>);

impl Chain {
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, conv| conv.forward(&x))
    }
}

/// Cross-stage partial block.
pub(super) struct Csp {
    main: Conv,
    side: Conv,
    join: Conv,
    bottlenecks: Vec<(Conv, Chain)>,
    shortcut: bool,
}

impl Csp {
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut y = self.main.forward(x)?;
        for (reduce, conv) in &self.bottlenecks {
            let z = conv.forward(&reduce.forward(&y)?)?;
            y = if self.shortcut { (y + z)? } else { z };
        }
        self.join.forward(&Tensor::cat(&[&y, &self.side.forward(x)?], 1)?)
    }
}

/// Spatial pyramid pooling over 5, 9 and 13 cells; the wider ones are pools of 5 repeated.
struct Spp {
    reduce: Conv,
    join: Conv,
}

impl Spp {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = self.reduce.forward(x)?;
        let p5 = max_pool_same(&x, 5)?;
        let p9 = max_pool_same(&p5, 5)?;
        let p13 = max_pool_same(&p9, 5)?;
        self.join.forward(&Tensor::cat(&[&x, &p5, &p9, &p13], 1)?)
    }
}

struct Head {
    stem: Conv,
    cls: [Chain; 2],
    reg: [Chain; 2],
    cls_pred: Conv,
    reg_pred: Conv,
    obj_pred: Conv,
}

impl Head {
    /// `[N, cells, 5 + classes]`: box as it comes, objectness and classes after their sigmoid.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = self.stem.forward(x)?;
        let cls = self.cls[1].forward(&self.cls[0].forward(&x)?)?;
        let reg = self.reg[1].forward(&self.reg[0].forward(&x)?)?;
        let sigmoid = candle_nn::ops::sigmoid;
        let parts = [
            self.reg_pred.forward(&reg)?,
            sigmoid(&self.obj_pred.forward(&reg)?)?,
            sigmoid(&self.cls_pred.forward(&cls)?)?,
        ];
        Tensor::cat(&parts, 1)?.flatten_from(2)?.transpose(1, 2)
    }
}

pub(in crate::nn) struct Yolox {
    stem: Conv,
    dark2: (Chain, Csp),
    dark3: (Chain, Csp),
    dark4: (Chain, Csp),
    dark5: (Chain, Spp, Csp),
    lateral_conv0: Conv,
    c3_p4: Csp,
    reduce_conv1: Conv,
    c3_p3: Csp,
    bu_conv2: Chain,
    c3_n3: Csp,
    bu_conv1: Chain,
    c3_n4: Csp,
    heads: Vec<Head>,
}

impl Yolox {
    pub fn new(w: &Weights, config: &Config) -> Result<Self, ModelError> {
        expect_sizes(config.width, config.depth)?;
        w.expect_labels("head.cls_preds.0", config.classes)?;
        let m = Maker {
            w,
            depthwise: config.depthwise,
        };
        let c = |channels: f64| (channels * config.width) as usize;
        let (c64, c128, c256, c512, c1024) = (c(64.), c(128.), c(256.), c(512.), c(1024.));
        let n = (3.0 * config.depth).round().max(1.0) as usize;
        let b = |name: &str| format!("backbone.backbone.{name}");
        let p = |name: &str| format!("backbone.{name}");
        let stage = |name: &str, ins, outs, n| {
            Ok::<_, ModelError>((
                m.conv3(&b(&format!("{name}.0")), ins, outs, 2)?,
                m.csp(&b(&format!("{name}.1")), outs, outs, n, true)?,
            ))
        };
        let spp = Spp {
            reduce: m.conv(&b("dark5.1.conv1"), c1024, c1024 / 2, 1, 1)?,
            join: m.conv(&b("dark5.1.conv2"), c1024 * 2, c1024, 1, 1)?,
        };
        let head = |(i, ins): (usize, usize)| {
            let two = |branch: &str| {
                let conv = |j: usize| m.conv3(&format!("head.{branch}.{i}.{j}"), c256, c256, 1);
                Ok::<_, ModelError>([conv(0)?, conv(1)?])
            };
            let pred = |branch: &str, outs| {
                let shape = ConvShape {
                    ins: c256,
                    outs,
                    kernel: 1,
                    stride: 1,
                    pad: 0,
                    depthwise: false,
                };
                Conv::with_bias(w, &format!("head.{branch}.{i}"), shape, Activation::None)
            };
            Ok::<_, ModelError>(Head {
                stem: m.conv(&format!("head.stems.{i}"), ins, c256, 1, 1)?,
                cls: two("cls_convs")?,
                reg: two("reg_convs")?,
                cls_pred: pred("cls_preds", config.classes)?,
                reg_pred: pred("reg_preds", 4)?,
                obj_pred: pred("obj_preds", 1)?,
            })
        };
        Ok(Self {
            stem: m.conv(&b("stem.conv"), 12, c64, 3, 1)?,
            dark2: stage("dark2", c64, c128, n)?,
            dark3: stage("dark3", c128, c256, 3 * n)?,
            dark4: stage("dark4", c256, c512, 3 * n)?,
            dark5: (
                m.conv3(&b("dark5.0"), c512, c1024, 2)?,
                spp,
                m.csp(&b("dark5.2"), c1024, c1024, n, false)?,
            ),
            lateral_conv0: m.conv(&p("lateral_conv0"), c1024, c512, 1, 1)?,
            c3_p4: m.csp(&p("C3_p4"), 2 * c512, c512, n, false)?,
            reduce_conv1: m.conv(&p("reduce_conv1"), c512, c256, 1, 1)?,
            c3_p3: m.csp(&p("C3_p3"), 2 * c256, c256, n, false)?,
            bu_conv2: m.conv3(&p("bu_conv2"), c256, c256, 2)?,
            c3_n3: m.csp(&p("C3_n3"), 2 * c256, c512, n, false)?,
            bu_conv1: m.conv3(&p("bu_conv1"), c512, c512, 2)?,
            c3_n4: m.csp(&p("C3_n4"), 2 * c512, c1024, n, false)?,
            heads: [c256, c512, c1024]
                .into_iter()
                .enumerate()
                .map(head)
                .collect::<Result<_, _>>()?,
        })
    }

    /// `[N, 3, H, W]`, H and W multiples of 32 → `[N, cells, 5 + classes]`, strides 8, 16, 32, row by row: x, y
    /// (relative to the cell), ln w, ln h (all in strides), objectness, classes.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = self
            .dark2
            .1
            .forward(&self.dark2.0.forward(&self.stem.forward(&focus(x)?)?)?)?;
        let c3 = self.dark3.1.forward(&self.dark3.0.forward(&x)?)?;
        let c4 = self.dark4.1.forward(&self.dark4.0.forward(&c3)?)?;
        let c5 = self
            .dark5
            .2
            .forward(&self.dark5.1.forward(&self.dark5.0.forward(&c4)?)?)?;

        let f0 = self.lateral_conv0.forward(&c5)?;
        let f = self.c3_p4.forward(&Tensor::cat(&[&twice(&f0)?, &c4], 1)?)?;
        let f1 = self.reduce_conv1.forward(&f)?;
        let p3 = self.c3_p3.forward(&Tensor::cat(&[&twice(&f1)?, &c3], 1)?)?;
        let p4 = self
            .c3_n3
            .forward(&Tensor::cat(&[&self.bu_conv2.forward(&p3)?, &f1], 1)?)?;
        let p5 = self
            .c3_n4
            .forward(&Tensor::cat(&[&self.bu_conv1.forward(&p4)?, &f0], 1)?)?;
        let levels = self.heads.iter().zip([p3, p4, p5]).map(|(head, x)| head.forward(&x));
        Tensor::cat(&levels.collect::<candle_core::Result<Vec<_>>>()?, 1)
    }
}
