/** Chinese words that the panels of photos, GIFs and recordings share. */

/** @type {Record<string, string>} */
export const words = {
  "pictures.choose": "画面",
  "pictures.own-screen": "你的屏幕",
  "pictures.none": "没有画面",
  "pictures.no-picture": "没有画面。请打开摄像头，或等其他人打开。",
  "pictures.cancel": "取消",
  "pictures.kept": "保留到你关闭本页为止：最新的 {count} 个，最多 {size}。需要的请下载。",
  "pictures.oldest-removed": "为腾出空间，最旧的已移除。",
  "pictures.download": "下载",
  "pictures.send": "发送到聊天",
  "pictures.sent": "已在聊天中提供给所有人。",
  "pictures.not-sent": "聊天无法发送。请下载后作为文件发送。",
  "pictures.remove": "移除",
  "pictures.removed": "已移除。",
};
