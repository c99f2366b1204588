"""Sharpening and denoising."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage import filters, restoration

from batchimg_worker.operations.arrays import Image
from batchimg_worker.operations.kernels import depth
from batchimg_worker.operations.reference.layers import (
    Values,
    by_neighbours,
    by_plane,
    colours,
    empty_like,
    levels,
    strips,
)

skimage_filters: Any = filters  # scikit-image has no types
skimage_restoration: Any = restoration


def sharpen(image: Image, radius: float, amount: float, halo: int) -> Image:
    """`skimage.filters.unsharp_mask`, colour by colour; float images are not clipped (``preserve_range=True``)."""

    def unsharp(strip: Values) -> Values:
        result = np.empty_like(strip)
        for k in range(strip.shape[2]):
            plane = np.ascontiguousarray(strip[..., k])
            result[..., k] = plane + (plane - ndimage.gaussian_filter(plane, radius, mode="reflect")) * amount
        return result

    return by_neighbours(image, halo, unsharp)


def tv(image: Image, weight: float) -> Image:
    """`skimage.restoration.denoise_tv_chambolle`, which treats every colour for itself."""
    return by_plane(image, lambda plane: skimage_restoration.denoise_tv_chambolle(plane, weight=weight))


def bilateral(image: Image, sigma_color: float, sigma_spatial: float, halo: int) -> Image:
    """`skimage.restoration.denoise_bilateral` with mode edge."""

    def smooth(strip: Values) -> Values:
        if strip.min() < 0 or not np.isfinite(strip.max()):
            raise ValueError("bilateral takes no negative or infinite values; use normalize first")
        result: Values = skimage_restoration.denoise_bilateral(
            strip if strip.shape[2] > 1 else strip[..., 0],
            sigma_color=sigma_color,
            sigma_spatial=sigma_spatial,
            mode="edge",
            channel_axis=-1 if strip.shape[2] > 1 else None,
        )
        return result.reshape(strip.shape)

    return by_neighbours(image, halo, smooth)


def nl_means(image: Image, h: float, patch_size: int, patch_distance: int, halo: int) -> Image:
    """`skimage.restoration.denoise_nl_means` in its fast mode."""

    def smooth(strip: Values) -> Values:
        result: Values = skimage_restoration.denoise_nl_means(
            strip, patch_size=patch_size, patch_distance=patch_distance, h=h, preserve_range=True, channel_axis=-1
        )
        return result.reshape(strip.shape)  # sides of one pixel are dropped

    return by_neighbours(image, halo, smooth)


def median(image: Image, radius: int) -> Image:
    """`skimage.filters.median` of a square, exactly, in the image's own type."""
    result = empty_like(image)
    footprint = np.ones((2 * radius + 1, 2 * radius + 1), bool)
    for source, target in zip(depth.planes(colours(image)), depth.planes(colours(result)), strict=True):
        for rows, around, inside in strips(image, radius):
            target[rows] = skimage_filters.median(np.ascontiguousarray(source[around]), footprint)[inside]
    return result


def wavelet(image: Image, sigma: float | None) -> Image:
    """`skimage.restoration.denoise_wavelet`, in YCbCr where there are colours."""
    image = levels(image)
    result = empty_like(image)
    white = np.float32(depth.white(image.dtype))
    source, target = colours(image), colours(result)
    several = source.shape[2] > 1
    values = source.astype(np.float32) / white
    smooth = skimage_restoration.denoise_wavelet(
        values if several else values[..., 0],
        sigma=sigma,
        convert2ycbcr=several,
        channel_axis=-1 if several else None,
        rescale_sigma=True,
    )
    depth.store(smooth.reshape(values.shape) * white, target)
    return result
