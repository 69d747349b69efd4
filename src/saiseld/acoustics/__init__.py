"""From sound to acoustic images: band covariances and the latent maps made of them (spec 2)."""
