"""LGM (Wan et al. 2018; Sargsyan et al. 2020): a large-margin Gaussian mixture as the head of a network."""
