//! The example pages of the broker. One line here adds one to the console.

export const EXAMPLES = [
  { href: 'examples/chat.html', name: 'Chat over WebSocket', about: 'The browser’s own WebSocket, no library.' },
  { href: 'examples/chat-sse.html', name: 'Chat over Server-Sent Events', about: 'EventSource to receive, fetch to send.' },
  { href: 'examples/room.html', name: 'A room', about: 'Its members, and which of them are typing.' },
  { href: 'examples/notifications.html', name: 'Notifications', about: 'For one user, from the last one that the browser has seen.' },
  { href: 'examples/chart.html', name: 'A live chart', about: 'Fifty values per second, without loss.' },
  { href: 'examples/board.html', name: 'A board', about: 'The pointers of all visitors, and lines to draw together.' },
];
