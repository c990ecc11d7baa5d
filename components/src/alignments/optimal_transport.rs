//! `optimal_transport`: cost of moving the query's frames onto the support's, entropic (Sinkhorn) and optionally
//! unbalanced.
//!
//! Source: Cuturi, NeurIPS 2013; Chizat et al. 2018 for marginals relaxed by KL. With uniform marginals a = 1/Tq and b
//! = 1/Ts, P[i, j] = a b exp((f_i + g_j − D[i, j]) / ε) and the updates, in log space,
//!
//! ```text
//! f_i = −r ε ln Σ_j b exp((g_j − D[i, j]) / ε)        g_j likewise        r = 1, or ρ / (ρ + ε) when unbalanced
//! ```
//! The distance is ⟨P, D⟩, plus ρ KL(P 1 ‖ a) + ρ KL(Pᵀ 1 ‖ b) when unbalanced; without that, moving nothing would cost
//! nothing.

use super::frame_costs::{Cosine, ShotRule, on_costs, total};
use crate::layers::plain_device;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use serde::{Deserialize, Serialize};

/// Options of optimal transport.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct OptimalTransport {
    /// ε, the weight of the entropy. Small values need more iterations.
    #[schemars(range(min = 1e-6))]
    epsilon: f64,
    /// ρ, the price of leaving mass behind; `null` for balanced transport.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    rho: Option<f64>,
    /// Sinkhorn iterations; the gradient goes through all of them. A smaller ε needs more.
    #[schemars(range(min = 1, max = 1000))]
    iterations: usize,
    /// How several shots of a class become one distance.
    shots: ShotRule,
    /// How the cosine of two frames is computed.
    cosine: Cosine,
}

impl Default for OptimalTransport {
    fn default() -> Self {
        Self { epsilon: 0.1, rho: None, iterations: 30, shots: ShotRule::MeanFeatures, cosine: Cosine::Normalized }
    }
}

register!(dyn Alignment, OptimalTransport, name: "optimal_transport", summary: "entropic transport of frames, balanced or unbalanced; order does not count",
    paper: Some("Cuturi, NeurIPS 2013"), stability: Stable, usage: "{epsilon: 0.1}");

impl Component for OptimalTransport {
    type Slot = dyn Alignment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Alignment>> {
        let Self { epsilon, rho, iterations, shots, cosine } = self;
        on_costs(shots, cosine, "transport of frames, by how much the distance moves with each cost", move |costs| {
            optimal_transport(costs, epsilon, rho, iterations)
        })
    }
}

/// Transport cost of costs `[P, Tq, Ts]` → `[P]`.
pub fn optimal_transport(costs: Tensor<3>, epsilon: f64, rho: Option<f64>, iterations: usize) -> Tensor<1> {
    let [pairs, rows, columns] = costs.dims();
    let (a, b) = (1.0 / rows as f64, 1.0 / columns as f64);
    let damping = rho.map_or(1.0, |rho| rho / (rho + epsilon));
    // −r ε ln Σ exp(x / ε) w along `dim`, shifted by the largest.
    let update = |x: Tensor<3>, dim: usize, weight: f64| {
        let largest = x.clone().detach().max_dim(dim);
        let sum = ((x - largest.clone()) / epsilon).exp().sum_dim(dim);
        (largest + (sum.log() + weight.ln()) * epsilon) * -damping
    };
    let mut g = Tensor::<3>::zeros([pairs, 1, columns], &plain_device(&costs));
    let mut f = Tensor::<3>::zeros([pairs, rows, 1], &plain_device(&costs));
    for _ in 0..iterations {
        f = update(g.clone() - costs.clone(), 2, b);
        g = update(f.clone() - costs.clone(), 1, a);
    }
    let plan = ((f + g - costs.clone()) / epsilon).exp() * (a * b);
    let moved = total(plan.clone() * costs);
    match rho {
        None => moved,
        Some(rho) => {
            // KL(m ‖ w) = Σ m ln(m / w) − m + w
            let divergence = |mass: Tensor<3>, weight: f64| {
                let ratio = (mass.clone() / weight).clamp_min(1e-30).log();
                total(mass.clone() * ratio - mass + weight)
            };
            moved + (divergence(plan.clone().sum_dim(2), a) + divergence(plan.sum_dim(1), b)) * rho
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame_costs::check;
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<OptimalTransport>(Traits {
            order_blind: true,
            long: &["epsilon: 0.01"],
            ..Traits::default()
        });
    }

    #[test]
    fn the_cost_is_that_of_the_cosines() {
        assert_eq!(conformance::alignment::flops::<OptimalTransport>(""), Some(check::COSINES));
    }

    #[test]
    fn a_sharp_balanced_plan_is_the_cheapest_assignment() {
        // D1's cheapest assignment is its diagonal: (0.1 + 0.2 + 0.3) / 3.
        check::close(optimal_transport(check::d1(), 0.01, None, 200), 0.2);
        // A high price of leaving mass behind is balanced transport.
        let balanced = optimal_transport(check::d2(), 0.1, None, 300).into_scalar::<f32>();
        let unbalanced = optimal_transport(check::d2(), 0.1, Some(1e4), 300);
        let difference = unbalanced.into_scalar::<f32>() - balanced;
        assert!(difference.abs() < 1e-3, "{difference}");
    }

    #[test]
    fn values_agree_with_pot() {
        let mut fixture = crate::fixtures::open("sinkhorn");
        let costs = crate::fixtures::tensor::<3>(&fixture.take("costs"));
        for (name, epsilon, rho) in
            [("balanced.0.05", 0.05, None), ("balanced.0.1", 0.1, None), ("unbalanced", 0.1, Some(1.0))]
        {
            let got = optimal_transport(costs.clone(), epsilon, rho, 300);
            crate::fixtures::close(got, &fixture.take(name), 2e-5);
        }
    }

    #[test]
    fn a_low_price_leaves_mass_behind() {
        let far = check::d2() * 0.0 + 1.5;
        let balanced = optimal_transport(far.clone(), 0.1, None, 50).into_scalar::<f32>();
        let unbalanced = optimal_transport(far, 0.1, Some(0.5), 50).into_scalar::<f32>();
        assert!((balanced - 1.5).abs() < 1e-4 && unbalanced < 1.2 && unbalanced > 0.5, "{balanced} {unbalanced}");
    }
}
