/** Chinese words of the panel "Photo". */

/** @type {Record<string, string>} */
export const words = {
  "photo.preview": "照片预览",
  "photo.size": "照片为 {width} × {height} 像素，不镜像。",
  "photo.filter": "滤镜",
  "photo.filter-none": "无",
  "photo.filter-blur": "模糊",
  "photo.filter-brightness": "亮度",
  "photo.filter-contrast": "对比度",
  "photo.filter-grayscale": "灰度",
  "photo.filter-hue-rotate": "色相旋转",
  "photo.filter-invert": "反色",
  "photo.filter-opacity": "半透明",
  "photo.filter-saturate-up": "鲜艳",
  "photo.filter-saturate-down": "淡雅",
  "photo.filter-sepia": "怀旧",
  "photo.filter-drop-shadow": "投影",
  "photo.amount": "强度",
  "photo.countdown": "倒计时 {seconds} 秒",
  "photo.counting": "{seconds} 秒后拍照。",
  "photo.take": "拍照",
  "photo.done": "已拍照。",
  "photo.failed": "浏览器无法生成照片。请关闭其他标签页以释放内存，然后重拍。",
  "photo.taken": "照片",
  "photo.of": "照片：{name}",
};
