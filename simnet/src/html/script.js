'use strict';
(function () {
  var readout = document.getElementById('readout');

  function save(button) {
    var copy = document.getElementById(button.dataset.save).cloneNode(true);
    copy.querySelectorAll('.cross').forEach(function (it) { it.remove(); });
    var text = new XMLSerializer().serializeToString(copy);
    var url = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
    var link = document.createElement('a');
    link.href = url;
    link.download = button.dataset.file;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(url); }, 1000);
  }

  document.querySelectorAll('button[data-save]').forEach(function (button) {
    button.hidden = false;
    button.addEventListener('click', function () { save(button); });
  });

  function shown(value, group) {
    var seconds = Number(value);
    if (group.dataset.unit !== 's' || group.dataset.spread !== 'log') {
      return (value + ' ' + group.dataset.unit).trim();
    }
    var units = [[86400, 'd', 172800], [3600, 'h', 7200], [60, 'min', 120], [1, 's', 1], [0.001, 'ms', 0]];
    var unit = units.filter(function (it) { return seconds >= it[2]; })[0];
    return Number((seconds / unit[0]).toPrecision(3)) + ' ' + unit[1];
  }

  function numbers(text) { return text.split(' ').map(Number); }

  function follow(group) {
    var svg = group.ownerSVGElement;
    var frame = numbers(group.dataset.frame);
    var scale = numbers(group.dataset.scale);
    var place = group.dataset.spread === 'log' ? Math.log : function (it) { return it; };
    var from = place(scale[0]), span = place(scale[1]) - from;
    var series = [];
    group.querySelectorAll('[data-x]').forEach(function (path) {
      if (path.dataset.x === '') { return; }
      series.push({ name: path.dataset.name, x: numbers(path.dataset.x), y: path.dataset.y.split(' ') });
    });
    var cross = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    cross.setAttribute('class', 'cross k-muted');
    cross.setAttribute('stroke', '#5b6570');
    cross.setAttribute('y1', frame[1]);
    cross.setAttribute('y2', frame[1] + frame[3]);
    cross.setAttribute('visibility', 'hidden');
    svg.appendChild(cross);

    function pixel(x) { return frame[0] + (place(x) - from) / span * frame[2]; }

    function nearest(xs, at) {
      var best = 0;
      for (var i = 1; i < xs.length; i++) {
        if (Math.abs(pixel(xs[i]) - at) < Math.abs(pixel(xs[best]) - at)) { best = i; }
      }
      return best;
    }

    function hide() {
      readout.hidden = true;
      cross.setAttribute('visibility', 'hidden');
    }

    svg.addEventListener('pointerleave', hide);
    svg.addEventListener('pointermove', function (event) {
      var box = svg.getBoundingClientRect();
      var ratio = svg.viewBox.baseVal.width / box.width;
      var at = (event.clientX - box.left) * ratio, down = (event.clientY - box.top) * ratio;
      var inside = at >= frame[0] && at <= frame[0] + frame[2] && down >= frame[1] && down <= frame[1] + frame[3];
      if (!inside || series.length === 0) { hide(); return; }
      var x = null;
      series.forEach(function (one) {
        var candidate = one.x[nearest(one.x, at)];
        if (x === null || Math.abs(pixel(candidate) - at) < Math.abs(pixel(x) - at)) { x = candidate; }
      });
      readout.textContent = '';
      var head = document.createElement('b');
      head.textContent = shown(x, group);
      readout.appendChild(head);
      series.forEach(function (one) {
        var index = nearest(one.x, pixel(x));
        if (Math.abs(pixel(one.x[index]) - pixel(x)) > 12) { return; }
        var row = document.createElement('div');
        row.textContent = (one.name + ': ' + one.y[index] + ' ' + group.dataset.valueUnit).trim();
        readout.appendChild(row);
      });
      cross.setAttribute('x1', pixel(x));
      cross.setAttribute('x2', pixel(x));
      cross.setAttribute('visibility', 'visible');
      readout.hidden = false;
      var left = event.pageX + 16;
      if (left + readout.offsetWidth > window.scrollX + document.documentElement.clientWidth - 8) {
        left = event.pageX - readout.offsetWidth - 16;
      }
      readout.style.left = Math.max(4, left) + 'px';
      readout.style.top = event.pageY + 14 + 'px';
    });
  }

  document.querySelectorAll('g[data-frame]').forEach(follow);
})();
